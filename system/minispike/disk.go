package minispike

import "github.com/cockroachdb/pebble/v2/vfs"

// pageCache is a file system that leaves it to the operating system when to
// write to the device. Pebble's commits wait for what it calls a sync; here
// that sync ends in the page cache: enough to survive the death of the
// process, not that of the machine.
type pageCache struct{ vfs.FS }

func (p pageCache) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return unsynced(p.FS.Create(name, category))
}

func (p pageCache) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return unsynced(p.FS.OpenReadWrite(name, category, opts...))
}

func (p pageCache) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return unsynced(p.FS.ReuseForWrite(oldname, newname, category))
}

func (p pageCache) OpenDir(name string) (vfs.File, error) { return unsynced(p.FS.OpenDir(name)) }

func (p pageCache) Unwrap() vfs.FS { return p.FS }

type unsyncedFile struct{ vfs.File }

func unsynced(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{file}, nil
}

func (unsyncedFile) Sync() error                { return nil }
func (unsyncedFile) SyncData() error            { return nil }
func (unsyncedFile) SyncTo(int64) (bool, error) { return false, nil }
