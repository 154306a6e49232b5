package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/uuid"
)

// dataDir is a node's own directory, locked for as long as it is open.
//
// It is recognised by its marker, so that a directory of something else is
// never written into, and carries the node's instance: who holds the directory
// is who held the leases of the run before.
type dataDir struct {
	path     string
	instance uuid.UUID
	lock     *os.File
}

// What a data directory contains beside its marker.
const (
	markerName = "adpulse.json"
	lockName   = "lock"
	edgeName   = "edge"
	coreName   = "core"
	kafkaName  = "kafka"
)

// dataDirFormat is the layout's version. A newer one is refused.
const dataDirFormat = 1

type marker struct {
	Program  string    `json:"program"`
	Format   int       `json:"format"`
	Instance uuid.UUID `json:"instance"`
}

// openDataDir makes or opens path. Its errors are *FlagError.
func openDataDir(path string) (*dataDir, error) {
	refuse := func(problem, hint string) error {
		return &FlagError{"data-dir", path + ": " + problem, hint}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, refuse(reason(err), "name a directory that this user may write to")
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, refuse(reason(err), "name a directory that this user may read")
	}
	known := false
	for _, entry := range entries {
		known = known || entry.Name() == markerName || entry.Name() == lockName
	}
	if len(entries) > 0 && !known {
		return nil, refuse("is not empty and not adpulse's", "name a new directory, or one that adpulse made")
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, refuse(reason(err), "name a directory that this user may write to")
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		problem := reason(err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			problem = "is in use by another adpulse"
		}
		return nil, errors.Join(refuse(problem, "stop that one, or give this one a --data-dir of its own"), lock.Close())
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.mark(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// mark reads the marker, or writes it where there is none yet.
func (d *dataDir) mark() error {
	refuse := func(problem, hint string) error {
		return &FlagError{"data-dir", d.path + ": " + problem, hint}
	}
	name := filepath.Join(d.path, markerName)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		d.instance = uuid.New()
		return d.writeMarker(name)
	}
	if err != nil {
		return refuse(reason(err), "name a directory that this user may read")
	}
	var m marker
	if err := json.Unmarshal(text, &m); err != nil || m.Program != "adpulse" || m.Instance == uuid.Nil {
		return refuse(markerName+" is not adpulse's", "name a new directory, or one that adpulse made")
	}
	if m.Format > dataDirFormat {
		return refuse(fmt.Sprintf("has format %d, and this adpulse knows up to %d", m.Format, dataDirFormat), "use a newer adpulse")
	}
	d.instance = m.Instance
	return nil
}

// writeMarker puts the marker in place whole: a run that dies here leaves none,
// and the next one makes it again.
func (d *dataDir) writeMarker(name string) error {
	text, err := json.Marshal(marker{"adpulse", dataDirFormat, d.instance})
	if err != nil {
		return fmt.Errorf("encode %s: %w", markerName, err)
	}
	err = os.WriteFile(name+".new", append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return &FlagError{"data-dir", d.path + ": " + reason(err), "name a directory that this user may write to"}
	}
	return nil
}

func (d *dataDir) sub(name string) string { return filepath.Join(d.path, name) }

// Close gives the directory to the next process.
func (d *dataDir) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("unlock %s: %w", d.path, err)
	}
	return nil
}

// reason is an error of the operating system without the path that the message
// names already.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
