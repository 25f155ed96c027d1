package runner

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Folders of the worker below the work folder.
const (
	tempDir         = "_temp"
	homeDir         = "_temp/_github_home"
	workflowDir     = "_temp/_github_workflow"
	fileCommandsDir = "_temp/_runner_file_commands"
	responsesDir    = "_temp/_runner_hook_responses"
	toolDir         = "_tool"
	actionsDir      = "_actions"
)

// A WorkFolder is a runner's work folder, by its absolute path. Several steps
// may use one at the same time when their IDs differ.
type WorkFolder string

// Prepare lays out what the worker has made before it calls a hook: the
// folders, the event, the step's empty file commands and its empty response.
func (w WorkFolder) Prepare(s Step) error {
	for _, dir := range []string{homeDir, workflowDir, fileCommandsDir, responsesDir, toolDir, actionsDir, workspaceDir(s)} {
		if err := os.MkdirAll(w.path(dir), 0o755); err != nil {
			return fmt.Errorf("prepare work folder: %w", err)
		}
	}
	event := fmt.Sprintf(`{"repository":{"full_name":%q}}`, s.Repository)
	files := map[string]string{responseFile(s): ""}
	if s.Script != nil && s.Script.Node == "" {
		files[scriptFile(s)] = s.Script.Text
	}
	for _, prefix := range fileCommandPrefixes() {
		files[fileCommand(prefix, s)] = ""
	}
	for name, content := range files {
		if err := os.WriteFile(w.path(name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("prepare work folder: %w", err)
		}
	}
	return w.writeOnce(path.Join(workflowDir, "event.json"), event)
}

// writeOnce writes a file that all steps of a job share. The write is a
// rename, since a step beside this one may have the file mounted.
func (w WorkFolder) writeOnce(name, content string) error {
	if _, err := os.Lstat(w.path(name)); err == nil {
		return nil
	}
	tmp, err := os.CreateTemp(w.path(path.Dir(name)), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = tmp.WriteString(content)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close(), os.Rename(tmp.Name(), w.path(name)))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Unpack writes a tar's files, folders and symbolic links below the work
// folder, where downloads and checkouts would have put them. An empty stream
// is no error.
func (w WorkFolder) Unpack(r io.Reader) error {
	if err := os.MkdirAll(string(w), 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	root, err := os.OpenRoot(string(w))
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if err := unpackEntry(root, h, tr); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, h.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	default:
		return fmt.Errorf("entry type %q is not supported", h.Typeflag)
	}
}

func (w WorkFolder) path(name string) string { return filepath.Join(string(w), name) }

// repositoryName is the last element of owner/name.
func repositoryName(s Step) string { return path.Base(s.Repository) }

// workspaceDir is where the worker checks a repository out: its name, twice.
func workspaceDir(s Step) string { return path.Join(repositoryName(s), repositoryName(s)) }

func responseFile(s Step) string { return path.Join(responsesDir, s.ID+".json") }

func fileCommand(prefix string, s Step) string {
	return path.Join(fileCommandsDir, prefix+s.ID)
}

// ActionDir is where the worker unpacks an action that a workflow names as
// owner/repository@ref, below the work folder.
func ActionDir(uses string) string {
	name, ref, _ := strings.Cut(uses, "@")
	return path.Join(actionsDir, name, ref)
}

// LocalDir is where an action of the workflow's own repository lies, below the
// work folder. The workflow's "./" stays in the path, as in the worker's.
func LocalDir(repository, uses string) string {
	return workspaceDir(Step{Repository: repository}) + "/" + uses
}
