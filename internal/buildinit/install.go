package buildinit

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Install writes the program that this process runs to path, whole or not at
// all, so that everybody can execute it. The directory has to be there.
func Install(path string) (err error) {
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	defer own.Close()
	beside := path + ".part"
	file, err := os.OpenFile(beside, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	_, err = io.Copy(file, own)
	err = errors.Join(err, file.Chmod(0o555), file.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("install %s: %w", path, err), os.Remove(beside))
	}
	return nil
}
