package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"kiln/internal/footprint"
)

// EnvRestarts is the variable by which the worker learns how often it was
// started again.
const EnvRestarts = "KILN_WORKER_RESTARTS"

// Options are what a worker is run with.
type Options struct {
	// Command is the worker: the path of its program, then its arguments.
	Command []string
	// Env is added to the worker's environment.
	Env []string
	// Limits are what the worker may use.
	Limits Limits
	// Grace is how long a worker may take to end once it was told to.
	Grace time.Duration
	// FirstPause and LastPause bound the back-off between two workers. It
	// doubles, and starts over after a worker that lived for SteadyAfter.
	FirstPause, LastPause, SteadyAfter time.Duration
	// Log is the operator's log.
	Log *zap.Logger
}

// Defaults returns the times that suit a sidecar: a pod gets 30 seconds to
// end, and a hook process waits for a minute for its daemon.
func Defaults() Options {
	return Options{Grace: 25 * time.Second, FirstPause: 100 * time.Millisecond, LastPause: 20 * time.Second, SteadyAfter: time.Minute}
}

// supervision is one run. It belongs to the goroutine of Run.
type supervision struct {
	Options
	signals  chan os.Signal
	children chan os.Signal
	lifeline *os.File // its other end stays open as long as this process lives
	restarts int
	stopping bool
}

// Run starts the worker and starts it again whenever it ends, until SIGTERM or
// SIGINT.
func Run(o Options) {
	// The kernel ties PDEATHSIG to the thread that started the child, not to
	// its process (prctl(2)).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := &supervision{Options: o, signals: make(chan os.Signal, 16), children: make(chan os.Signal, 1)}
	signal.Notify(s.signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(s.signals)
	signal.Notify(s.children, unix.SIGCHLD)
	defer signal.Stop(s.children)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		s.Log.Warn("become the reaper of the worker's children", zap.Error(err))
	}
	read, write, err := os.Pipe()
	if err != nil {
		s.Log.Warn("what the worker starts ends with it", zap.Error(err))
	} else {
		s.lifeline = read
		defer runtime.KeepAlive(write)
		defer write.Close()
	}
	s.run()
}

// run is Run once signals are caught.
func (s *supervision) run() {
	pause := s.FirstPause
	for {
		began := time.Now()
		cause := s.once()
		if s.stopping {
			return
		}
		if time.Since(began) >= s.SteadyAfter {
			pause = s.FirstPause
		}
		s.restarts++
		s.Log.Error("the worker ended by itself: it is started again, and goes on with the steps in flight",
			zap.String("cause", cause), zap.Int("restarts", s.restarts), zap.Duration("pause", pause))
		if s.sleep(pause) {
			return
		}
		pause = min(2*pause, s.LastPause)
	}
}

// once runs one worker and says how it ended.
func (s *supervision) once() string {
	worker, err := s.start()
	if err != nil {
		return err.Error()
	}
	footprint.Shrink() // this process only waits from here on
	status := s.await(worker)
	// What the worker started in its group is of no use without it.
	_ = unix.Kill(-worker, unix.SIGKILL)
	s.reap(0)
	return describe(status)
}

// start starts a worker in a process group of its own.
func (s *supervision) start() (pid int, err error) {
	cmd := exec.Command(s.Command[0], s.Command[1:]...) //nolint:gosec // the program is the caller's own
	cmd.Env = slices.Concat(os.Environ(), s.Limits.env(), s.Env, []string{EnvRestarts + "=" + strconv.Itoa(s.restarts)})
	if s.lifeline != nil {
		cmd.ExtraFiles = []*os.File{s.lifeline}
		cmd.Env = append(cmd.Env, envLifeline+"="+strconv.Itoa(lifelineFile))
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the worker: %w", err)
	}
	pid = cmd.Process.Pid
	if err := s.Limits.apply(pid); err != nil {
		s.Log.Warn("the worker's memory is not limited", zap.Error(err))
	}
	// reap waits for it, as for every other child.
	return pid, cmd.Process.Release()
}

// await returns the worker's status once it has ended. It passes signals on,
// and kills a worker that does not end when it is told to.
func (s *supervision) await(worker int) unix.WaitStatus {
	var late <-chan time.Time
	for {
		select {
		case <-s.children:
			if status, ended := s.reap(worker); ended {
				return status
			}
		case received := <-s.signals:
			if terminates(received) && late == nil {
				s.stopping = true
				late = time.After(s.Grace)
			}
			if number, ok := received.(syscall.Signal); ok {
				_ = unix.Kill(worker, number)
			}
		case <-late:
			s.Log.Error("the worker did not end in time and is killed", zap.Duration("grace", s.Grace))
			_ = unix.Kill(-worker, unix.SIGKILL)
		}
	}
}

// reap collects every child that has ended, and says whether the worker is
// among them.
func (s *supervision) reap(worker int) (found unix.WaitStatus, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid == 0 {
			return found, ended
		}
		if pid == worker {
			found, ended = status, true
		}
	}
}

// sleep waits between two workers and reports whether it was told to stop.
func (s *supervision) sleep(pause time.Duration) (stopped bool) {
	over := time.After(pause)
	for {
		select {
		case <-over:
			return false
		case <-s.children:
			s.reap(0)
		case received := <-s.signals:
			if terminates(received) {
				return true
			}
		}
	}
}

// terminates tells the signals that end a container.
func terminates(received os.Signal) bool {
	return received == unix.SIGTERM || received == unix.SIGINT
}

// describe says how a worker ended.
func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "signal: " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}
