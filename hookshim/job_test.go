package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/internal/agent"
	"kiln/internal/hook"
	"kiln/internal/spool"
)

// jobSecret is that of the fake daemon's job containers.
const jobSecret = "0123456789abcdef"

// jobAgent is the process of a job container: what kiln-agent is.
func jobAgent() {
	if len(os.Args) > 1 && os.Args[1] == agent.LimitCommand {
		os.Exit(agent.ExecLimited(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == agent.ActionCommand {
		os.Exit(agent.RunAction(os.Args[2:]))
	}
	config := agent.Config{Log: os.Stdout}
	secret := flag.String("secret", jobSecret, "itself, not its file")
	flag.StringVar(&config.Socket, "socket", "", "")
	flag.StringVar(&config.TCP, "tcp", "", "")
	flag.Parse()
	config.Secret = []byte(*secret)
	ctx, cancel := agent.UntilStopped(context.Background())
	defer cancel()
	check(agent.Serve(ctx, config))
}

// A fakeJob is a job container of the fake daemon, without a container.
type fakeJob struct {
	work, behaviour string
	agent           *exec.Cmd
	address         string
}

// start starts the agent that the shim has put into the job's directory; where nothing
// there can be executed, its own. With
// "address" its socket is where nobody looks, with "shut" it does not listen.
func (j *fakeJob) start(dir string, noexec bool) {
	place := filepath.Join(j.work, spool.JobsDir, dir)
	if j.behaviour == "shut" {
		return
	}
	socket := filepath.Join(place, "door")
	if j.behaviour == "address" {
		socket = filepath.Join(j.work, "elsewhere")
	}
	program := filepath.Join(place, "agent")
	if noexec {
		program = agentProgram
	}
	j.agent = exec.Command(program, "--socket", socket, "--tcp", "127.0.0.1:0")
	j.agent.Args[0] = agentProgram
	j.agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := j.agent.StdoutPipe()
	check(err)
	check(j.agent.Start())
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		where := strings.TrimPrefix(lines.Text(), "kiln-agent: listens on ")
		if strings.HasPrefix(where, "/") {
			return // the socket is the last one
		}
		j.address = where
	}
}

// end is the end of the job container, as when it runs out of memory.
func (j *fakeJob) end() {
	if j.agent != nil {
		_ = j.agent.Process.Kill()
		_ = j.agent.Wait()
	}
}

// answer answers one call, and says whether it was the job's last.
func (j *fakeJob) answer(claim *spool.Claim) (last bool) {
	r := claim.Request
	fmt.Fprintf(claim.Log, "call=%s services=%q files=%q env=%q state=%t\n", r.Call, r.Job.Services, r.Job.Files, r.Job.Env, r.Job.State != nil)
	switch r.Call {
	case hook.PrepareJob:
		if j.behaviour == "refuse" {
			check(claim.Finish(3))
			return false
		}
		j.prepare(claim)
	case hook.ExplainJob:
		fmt.Fprintln(claim.Log, "::error::kiln: the job container ran out of memory (limit 64Mi)")
		check(claim.Finish(137))
	case hook.CleanupJob:
		j.end()
		check(claim.Finish(4))
		return true
	}
	return false
}

func (j *fakeJob) prepare(claim *spool.Claim) {
	dir := claim.Request.Job.Dir
	program, err := os.ReadFile(filepath.Join(j.work, spool.JobsDir, dir, "agent"))
	noexec := claim.Request.Job.NoExec
	if !noexec {
		check(err)
	}
	fmt.Fprintf(claim.Log, "agent=%t noexec=%t\n", err == nil && claim.Request.Job.Agent == fmt.Sprintf("%x", sha256.Sum256(program)), noexec)
	j.start(dir, noexec)
	if j.behaviour == "" {
		j.awaitEntered(claim)
	}
	kiln := map[string]string{"dir": dir, "address": j.address, "secret": jobSecret, "more": "kept"}
	response, err := json.Marshal(map[string]any{
		"state": map[string]any{"jobPod": "pod", "kiln": kiln}, "isAlpine": false,
		"context": map[string]any{"container": map[string]string{"id": "pod/job", "network": "pod"}},
	})
	check(err)
	check(claim.Answer(0, response))
}

// awaitEntered waits until the shim has entered the container, as a daemon does that
// has not heard yet where the container is.
func (j *fakeJob) awaitEntered(claim *spool.Claim) {
	for claim.Entered() != agent.MarkOf([]byte(jobSecret)).String() {
		if claim.Vanished() {
			check(errors.New("the shim has gone without a word"))
		}
		time.Sleep(time.Millisecond)
	}
	j.address = ""
}

// serveJob answers the calls of one job: daemon job WORKFOLDER [BEHAVIOUR].
func serveJob(exchange *spool.Exchange, args []string) {
	j := &fakeJob{work: args[0]}
	if len(args) > 1 {
		j.behaviour = args[1]
	}
	watcher := spool.Watch(context.Background(), exchange.WatchDirs()...)
	for {
		ids, _, err := exchange.Requests()
		check(err)
		for _, id := range ids {
			claim, err := exchange.Claim(id, 1<<20)
			check(err)
			claim.Load()
			check(claim.Bad)
			last := j.answer(claim)
			for !claim.Vanished() {
				<-watcher.C
			}
			claim.Close()
			check(exchange.Clear(id))
			if last {
				return
			}
		}
		<-watcher.C
	}
}

// cmdMessage writes input.json, the message of a call: message COMMAND ARGSFILE.
// The state is what "state" has kept; variables in the file are replaced. The runner's
// file for the response is $RESPONSE, else response.json.
func cmdMessage(ts *testscript.TestScript, _ bool, args []string) {
	state := "null"
	if text, err := os.ReadFile(ts.MkAbs("state.json")); err == nil {
		state = string(text)
	}
	arguments := os.Expand(ts.ReadFile(args[1]), func(name string) string {
		if name == "$" {
			return "$"
		}
		return ts.Getenv(name)
	})
	message := fmt.Sprintf(`{"command":%q,"responseFile":%q,"args":%s,"state":%s}`, args[0], responseFile(ts), arguments, state)
	ts.Check(os.WriteFile(responseFile(ts), nil, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("input.json"), []byte(message), 0o644))
}

// responseFile is the file that the runner reads the response from.
func responseFile(ts *testscript.TestScript) string {
	return ts.MkAbs(cmp.Or(ts.Getenv("RESPONSE"), "response.json"))
}

// cmdState keeps the state of the response, as the runner does.
func cmdState(ts *testscript.TestScript, _ bool, _ []string) {
	var response struct {
		State    json.RawMessage `json:"state"`
		IsAlpine *bool           `json:"isAlpine"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(responseFile(ts))), &response))
	if response.IsAlpine == nil {
		ts.Check(errors.New("the response has no isAlpine: the runner fails then"))
	}
	ts.Check(os.WriteFile(ts.MkAbs("state.json"), response.State, 0o644))
}
