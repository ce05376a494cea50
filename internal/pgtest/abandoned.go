package pgtest

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const folderPattern = "clerksync-pgtest-*"

// makeFolder makes a cluster's folder and removes those that killed tests left behind. The lock on a folder ends with the process
// that holds it, however it ends.
func makeFolder() (*os.File, error) {
	removeAbandoned()
	path, err := os.MkdirTemp("", folderPattern)
	if err != nil {
		return nil, err
	}
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

// removeAbandoned leaves alone what is so young that its owner may be about to lock it, and what belongs to another user.
func removeAbandoned() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern)) // the only error is a bad pattern
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		folder, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(path)
		}
		folder.Close()
	}
}
