package agent

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// frames are bytes that an agent sends.
func frames(list ...frame) []byte {
	var b []byte
	for _, f := range list {
		b = f.append(b)
	}
	return b
}

// talk runs a step against an agent that reads the call, sends answer, and then
// stays silent or closes.
func talk(t *testing.T, answer []byte, silent bool, output io.Writer) (Outcome, error) {
	t.Helper()
	client, agent := net.Pipe()
	defer client.Close()
	defer agent.Close()
	go func() {
		if _, err := readFrame(agent); err != nil {
			t.Error(err)
		}
		_, _ = agent.Write(answer) // as much as is read
		if !silent {
			_ = agent.Close()
		}
	}()
	c := &conversation{conn: client, output: output, ended: make(chan struct{})}
	return c.run(frame{kindCall, request{call: Call{Argv: []string{"x"}}}.encode()}, nil)
}

func TestAnswers(t *testing.T) {
	started, inFrames := frame{kindStarted, []byte{0}}, frame{kindStarted, []byte{1}}
	exited := frame{kindExited, []byte{7}}
	for name, tt := range map[string]struct {
		answer []byte
		silent bool
		want   Outcome
		output string
		err    error
	}{
		"exited":             {answer: frames(started, exited), want: Outcome{Code: 7}},
		"signalled":          {answer: frames(started, frame{kindSignalled, []byte{9}}), want: Outcome{Code: 137, Signal: syscall.SIGKILL}},
		"not started":        {answer: frames(frame{kindCannotStart, []byte("\x7fno")}), want: Outcome{Code: 127, NotStarted: "no"}},
		"relayed":            {answer: frames(inFrames, frame{kindOutput, []byte("a")}, frame{kindOutput, []byte("b")}, exited), want: Outcome{Code: 7, Relayed: true}, output: "ab"},
		"told to end":        {answer: frames(started, frame{kind: kindStopping}, exited), want: Outcome{Code: 7, Stopping: true}},
		"gone at once":       {err: ErrGone},
		"gone under it":      {answer: frames(started), err: ErrGone},
		"silent":             {silent: true, err: ErrGone},
		"nonsense":           {answer: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), silent: true, err: errForm},
		"a huge frame":       {answer: []byte{'O', 0x7f, 0, 0, 0}, silent: true, err: errForm},
		"started twice":      {answer: frames(started, started), silent: true, err: errForm},
		"exited unstarted":   {answer: frames(exited), silent: true, err: errForm},
		"output unannounced": {answer: frames(started, frame{kindOutput, []byte("a")}), silent: true, err: errForm},
		"an empty exit":      {answer: frames(started, frame{kind: kindExited}), silent: true, err: errForm},
		"an empty reason":    {answer: frames(frame{kind: kindCannotStart}), silent: true, err: errForm},
		"a client's frame":   {answer: frames(started, frame{kindSignal, []byte{9}}), silent: true, err: errForm},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var output bytes.Buffer
				begin := time.Now()
				got, err := talk(t, tt.answer, tt.silent, &output)
				if got != tt.want || output.String() != tt.output || !errors.Is(err, tt.err) {
					t.Errorf("%+v, %q, %v; want %+v, %q, %v", got, output.String(), err, tt.want, tt.output, tt.err)
				}
				if took := time.Since(begin); took > answerLimit {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestRefusal(t *testing.T) {
	_, err := talk(t, frames(frame{kindRefused, []byte("full")}), true, io.Discard)
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Why != "full" {
		t.Error(err)
	}
}

// An output that takes nothing ends the conversation, and with it the step.
func TestOutputFails(t *testing.T) {
	answer := frames(frame{kindStarted, []byte{1}}, frame{kindOutput, []byte("a")})
	if _, err := talk(t, answer, true, brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
