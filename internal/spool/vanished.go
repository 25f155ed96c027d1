package spool

import "path"

// Vanished reports whether nobody holds the lock of the request id: its shim
// has gone, or the request is not one.
func (e *Exchange) Vanished(id string) bool {
	lock, err := openPlain(e.root, path.Join(dirRequests, id, fileLock))
	if err != nil {
		return true
	}
	defer lock.Close()
	return free(lock)
}
