package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kiln/internal/agent"
	"kiln/internal/hook"
	"kiln/internal/hostpath"
	"kiln/internal/jobdir"
	"kiln/internal/spool"
)

// workTarget is where an action finds the work folder.
const workTarget = "/__w"

// An outlet is where the action of a container step prints to past the daemon and
// the node: a pipe whose write end it gets at a socket on the work volume.
type outlet struct {
	dir      jobdir.Dir
	token    string
	pipe     *agent.Outlet
	mappings []hostpath.Mapping

	way     spool.Way     // what was stated
	printed chan struct{} // closed when the output is printed; nil before that begins
	failed  error         // why not all of it was
	heard   bool          // that it is printed is known
	told    bool          // the daemon was told how the action ended
	ended   chan struct{} // closed when the daemon has answered: the action has ended
	over    bool          // ended is closed
	stopped string        // the token with which the action left workflow commands stopped
}

// openOutlet makes the outlet of a step. An error says why the step goes without.
func openOutlet(container hook.Container, token string) (*outlet, error) {
	work, err := workFolder()
	if err != nil {
		return nil, err
	}
	if isNoexec(work) {
		return nil, errors.New("the work volume is mounted noexec")
	}
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := jobdir.Make(work)
	if err != nil {
		return nil, err
	}
	o := &outlet{dir: dir, token: token, ended: make(chan struct{}), mappings: hostPaths(container, work)}
	sum, err := dir.PutAgent(filepath.Join(filepath.Dir(own), agentProgram))
	if err == nil {
		err = dir.CheckAgent(sum)
	}
	if err == nil {
		o.pipe, err = agent.OpenOutlet(dir.Door(), []byte(token))
	}
	if err != nil {
		return nil, errors.Join(err, dir.Remove())
	}
	return o, nil
}

// isNoexec tells a work volume that no program can be started from: a mount has its
// options in every pod.
func isNoexec(work string) bool {
	var about unix.Statfs_t
	return unix.Statfs(work, &about) == nil && about.Flags&unix.ST_NOEXEC != 0
}

// hostPaths are the directories that the runner and the action share.
func hostPaths(container hook.Container, work string) []hostpath.Mapping {
	mappings := []hostpath.Mapping{{Container: workTarget, Host: work}}
	for _, mount := range container.SystemMountVolumes {
		if strings.HasPrefix(filepath.Clean(mount.SourceVolumePath)+"/", work+"/") {
			mappings = append(mappings, hostpath.Mapping{Container: mount.TargetVolumePath, Host: mount.SourceVolumePath})
		}
	}
	return mappings
}

// offer is what the daemon has to know.
func (o *outlet) offer() *spool.Outlet { return &spool.Outlet{Dir: o.dir.Name(), Token: o.token} }

// settled is closed once there is a statement to make; nil where there is none.
func (o *outlet) settled() <-chan struct{} {
	if o == nil || o.way != spool.Undecided {
		return nil
	}
	return o.pipe.Settled()
}

// done is closed once everything that the action prints is printed; nil where there is
// nothing to wait for.
func (o *outlet) done() <-chan struct{} {
	if o == nil || o.heard {
		return nil
	}
	return o.printed
}

// exited is closed once the daemon can be told how the action ended; nil where there is
// nothing to tell.
func (o *outlet) exited() <-chan struct{} {
	if o == nil || o.told || o.way != spool.Taken {
		return nil
	}
	return o.pipe.Ended()
}

// tellExit tells the daemon how the action ended, where the action has told it. Where that
// cannot be said the daemon hears it of the cluster.
func (o *outlet) tellExit(draft *spool.Draft) {
	select {
	case <-o.exited():
		o.told = true
		_ = draft.SayExit(o.pipe.ExitCode())
	default:
	}
}

// stop ends the printing of what the action prints.
func (o *outlet) stop() {
	if o == nil {
		return
	}
	o.pipe.Close()
	if o.printed != nil {
		<-o.printed
	}
}

// close takes the outlet off the work volume.
func (o *outlet) close() {
	if o != nil {
		o.stop()
		_ = o.dir.Remove() // a full removal is the job's end's
	}
}

// begin starts to print what the action prints, as long as late allows.
func (o *outlet) begin(late context.Context, out io.Writer) {
	o.printed = make(chan struct{})
	mapped := hostpath.NewWriter(&cancelWriter{ctx: late.Err, w: out}, o.mappings)
	go func() {
		defer close(o.printed)
		o.failed = errors.Join(o.pipe.Pour(mapped, o.ended), mapped.Flush())
		o.stopped = mapped.Stopped()
	}()
}

// end says that the action has ended.
func (o *outlet) end() {
	if !o.over {
		o.over = true
		close(o.ended)
	}
}

// turn prints what is to be printed now and returns the daemon's result when all is
// printed: what the daemon says until the action begins, then what the action prints,
// then the rest of what the daemon says.
func (s *step) turn(late context.Context) (spool.Result, bool, error) {
	o := s.outlet
	if o == nil || o.way == spool.Shut {
		return s.print(late)
	}
	if o.way == spool.Taken {
		return s.pour(late)
	}
	if s.draft.Wanted() {
		o.pipe.Settle()
	}
	select {
	case <-o.pipe.Settled():
		return spool.Result{}, false, s.state(late)
	default:
		return s.print(late)
	}
}

// state says which way the action's output goes. Before it says that the shim has it,
// the shim has printed what the daemon said before the action began: until then the
// daemon says nothing of the action's end.
func (s *step) state(late context.Context) error {
	o := s.outlet
	o.way = spool.Shut
	if o.pipe.Taken() {
		o.way = spool.Taken
		if _, answered, err := s.draft.Answered(); err == nil && !answered {
			if err := s.printLog(late); err != nil {
				return err
			}
		}
		s.out.endLine()
		o.begin(late, s.out)
	}
	return s.draft.Say(o.way)
}

// pour goes on with what the action prints, and behind it with what the daemon says.
func (s *step) pour(late context.Context) (spool.Result, bool, error) {
	o := s.outlet
	o.tellExit(s.draft)
	result, answered, err := s.draft.Answered()
	if err != nil {
		return spool.Result{}, false, err
	}
	if answered {
		o.end()
	}
	if !o.heard {
		select {
		case <-o.printed:
		default:
			return spool.Result{}, false, nil
		}
		if o.heard = true; o.failed != nil {
			return spool.Result{}, false, fmt.Errorf("print the action's output: %w", o.failed)
		}
		s.out.endLine()
	}
	if o.stopped != "" && !answered {
		return spool.Result{}, false, nil
	}
	if o.stopped != "" && (result.ExitCode != 0 || result.Message != "") {
		s.out.line("::" + o.stopped + "::") // the daemon's error is to be heard
	}
	o.stopped = ""
	return s.print(late)
}
