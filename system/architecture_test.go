package system_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is what the directories of the module say about themselves.
type source struct {
	dir string
	// imports and testImports map an import path to a file that has it.
	imports, testImports map[string]string
	documented, code     bool
}

const module = "adpulse"

// shared are the packages that every actor may build on.
var shared = []string{module + "/actors/mailbox", module + "/actors/credit"}

// TestImportsPointOneWay fails on an arrow against
// cmd → system → actors → messages, and on one between siblings.
func TestImportsPointOneWay(t *testing.T) {
	for _, s := range sources(t) {
		for path, file := range s.imports {
			if why := forbidden(s.dir, path); why != "" {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
		}
		// A test may start what its subject talks to, never what stands above it.
		for path, file := range s.testImports {
			layer, imported := layerOf(s.dir), layerOf(strings.TrimPrefix(path, module+"/"))
			if isOwn(path) && imported > layer {
				t.Errorf("%s imports %s: tests, too, look downwards only", file, path)
			}
		}
	}
}

// forbidden says why the code in dir may not import path, or "".
func forbidden(dir, path string) string {
	own := isOwn(path)
	top, inner, _ := strings.Cut(dir, "/")
	if !own {
		if top == "messages" && strings.Contains(firstOf(path), ".") && path != "github.com/google/uuid" {
			return "messages stands on the standard library and google/uuid alone"
		}
		return ""
	}
	to := strings.TrimPrefix(path, module+"/")
	if layerOf(to) > layerOf(dir) {
		return "dependencies point one way: cmd → system → actors → messages"
	}
	switch {
	case top == "actors" && strings.HasPrefix(to, "actors/"):
		if !slices.Contains(shared, path) && !within(to, dir) {
			return "siblings talk by message, never by import; shared are mailbox and credit"
		}
	case top == "system" && inner != "":
		sibling, _, _ := strings.Cut(inner, "/")
		switch {
		case strings.HasPrefix(to, "actors/"):
			return "adapters satisfy the actors' interfaces and do not know them; system joins them"
		case to == "system" || strings.HasPrefix(to, "system/"):
			if !within(to, "system/"+sibling) && !within(to, "system/internal") {
				return "adapters do not know each other; system joins them"
			}
		}
	}
	return ""
}

// layerOf is the height of a directory: messages 0, actors 1, packages below
// system 2, system 3, cmd 4.
func layerOf(dir string) int {
	top, inner, _ := strings.Cut(dir, "/")
	switch {
	case top == "messages":
		return 0
	case top == "actors":
		return 1
	case top == "system" && inner != "":
		return 2
	case top == "system":
		return 3
	}
	return 4
}

func isOwn(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func firstOf(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, s := range sources(t) {
		if s.code && !s.documented {
			t.Errorf("package %s has no doc comment", s.dir)
		}
	}
}

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "ARCHITECTURE.md"))
	require.NoError(t, err)
	named := map[string]bool{}
	for _, word := range strings.FieldsFunc(string(page), func(r rune) bool { return strings.ContainsRune("` |\n\t,()", r) }) {
		named[word] = true
	}
	mod, err := os.ReadFile(filepath.Join("..", "go.mod"))
	require.NoError(t, err)
	direct := 0
	for line := range strings.Lines(string(mod)) {
		path, version, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "require ")), " ")
		if !ok || !strings.HasPrefix(version, "v") || strings.Contains(version, "// indirect") {
			continue
		}
		direct++
		if !named[path] {
			t.Errorf("docs/ARCHITECTURE.md gives no reason for %s", path)
		}
	}
	require.NotZero(t, direct, "go.mod was not understood")
}

// sources reads the Go files of the module, tools and generated trees aside.
func sources(t *testing.T) []*source {
	t.Helper()
	found := map[string]*source{}
	files := token.NewFileSet()
	for _, top := range []string{"actors", "cmd", "messages", "system"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "node_modules") {
				return filepath.SkipDir
			}
			if entry.IsDir() || filepath.Ext(path) != ".go" {
				return nil
			}
			parsed, err := parser.ParseFile(files, path, nil, parser.ImportsOnly|parser.ParseComments)
			if err != nil {
				return err
			}
			dir, err := filepath.Rel("..", filepath.Dir(path))
			if err != nil {
				return err
			}
			dir = filepath.ToSlash(dir)
			s := found[dir]
			if s == nil {
				s = &source{dir: dir, imports: map[string]string{}, testImports: map[string]string{}}
				found[dir] = s
			}
			into := s.imports
			if strings.HasSuffix(path, "_test.go") {
				into = s.testImports
			} else {
				s.code = true
				s.documented = s.documented || parsed.Doc != nil
			}
			for _, spec := range parsed.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				into[imported] = path
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.Contains(t, found, "messages")
	return slices.SortedFunc(maps.Values(found), func(a, b *source) int { return strings.Compare(a.dir, b.dir) })
}

func TestForbiddenImports(t *testing.T) {
	for _, c := range []struct {
		dir, path string
		allowed   bool
	}{
		{"messages", "github.com/google/uuid", true},
		{"messages", "go.uber.org/zap", false},
		{"messages", "adpulse/actors/credit", false},
		{"actors/collector", "adpulse/messages", true},
		{"actors/collector", "adpulse/actors/mailbox", true},
		{"actors/collector", "adpulse/actors/exporter", false},
		{"actors/collector", "adpulse/system/edge", false},
		{"actors/collector", "adpulse/system", false},
		{"system/edge", "adpulse/messages", true},
		{"system/edge", "adpulse/system/internal/aero", true},
		{"system/edge", "adpulse/system/stream", false},
		{"system/edge", "adpulse/system", false},
		{"system/edge", "adpulse/actors/collector", false},
		{"system/minispike", "adpulse/system/minispike/internal/cdt", true},
		{"system/minispike/internal/cdt", "adpulse/system/edge", false},
		{"system/internal/aero", "adpulse/system/edge", false},
		{"system", "adpulse/actors/collector", true},
		{"system", "adpulse/system/edge", true},
		{"system", "adpulse/cmd/adpulse", false},
		{"cmd/adpulse", "adpulse/system", true},
	} {
		require.Equal(t, c.allowed, forbidden(c.dir, c.path) == "", "%s imports %s", c.dir, c.path)
	}
}
