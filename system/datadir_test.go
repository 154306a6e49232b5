package system

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDataDirIsOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	first, err := openDataDir(path)
	require.NoError(t, err)

	_, err = openDataDir(path)
	var flag *FlagError
	require.ErrorAs(t, err, &flag)
	require.Equal(t, "data-dir", flag.Flag)
	require.Contains(t, err.Error(), "in use by another adpulse")

	require.NoError(t, first.Close())
	again, err := openDataDir(path)
	require.NoError(t, err)
	require.Equal(t, first.instance, again.instance, "the next run is the same instance")
	require.NoError(t, again.Close())
}

func TestDataDirRefusesWhatIsNotItsOwn(t *testing.T) {
	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "thesis.tex"), []byte("x"), 0o600))
	noMarker := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(noMarker, markerName), []byte("{}"), 0o600))
	newer := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(newer, markerName),
		[]byte(`{"program":"adpulse","format":99,"instance":"0d33124c-0000-4000-8000-000000000001"}`), 0o600))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for _, c := range []struct{ name, path, problem string }{
		{"a directory of something else", foreign, "not empty and not adpulse's"},
		{"a marker of something else", noMarker, "not adpulse's"},
		{"a newer format", newer, "has format 99"},
		{"a file", file, "not a directory"},
		{"a directory below a file", filepath.Join(file, "x"), "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := openDataDir(c.path)
			var flag *FlagError
			require.ErrorAs(t, err, &flag)
			require.Contains(t, flag.Problem, c.problem)
			require.NotEmpty(t, flag.Hint)
		})
	}
}
