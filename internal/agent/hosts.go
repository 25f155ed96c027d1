package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// HostsCommand is the first argument with which the program adds lines to a hosts file:
// a second follows, the file. The lines come on its standard input.
const HostsCommand = "hosts"

// HostsFile is the file of a pod, one for all its containers: the kubelet mounts it
// into each, and writes it only when it starts one (kubernetes,
// pkg/kubelet/kubelet_pods.go).
const HostsFile = "/etc/hosts"

// HostsEnd is the last line of what is sent, so that nothing less counts as all.
const HostsEnd = "# End of the job's services.\n"

// maxHosts bounds what is sent.
const maxHosts = 64 << 10

// AddHosts appends what in has to the hosts file that args name, and returns the exit
// code of the process: 0 once all of it is there, which is when any of it is.
func AddHosts(args []string, in io.Reader, out io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(out, "kiln-agent: "+HostsCommand+" wants the path of a hosts file")
		return 2
	}
	if err := addHosts(args[0], in); err != nil {
		fmt.Fprintf(out, "kiln-agent: the names of the job's services: %v\n", err)
		return 1
	}
	return 0
}

// addHosts appends in to a file that exists, in one write: whoever reads the file
// meanwhile sees all names or none.
func addHosts(path string, in io.Reader) error {
	lines, err := io.ReadAll(io.LimitReader(in, maxHosts+1))
	switch {
	case err != nil:
		return err
	case len(lines) > maxHosts:
		return fmt.Errorf("more than %d bytes", maxHosts)
	case !bytes.HasSuffix(lines, []byte(HostsEnd)):
		return fmt.Errorf("not all of them came: %d bytes without an end", len(lines))
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	return errors.Join(err, file.Close())
}
