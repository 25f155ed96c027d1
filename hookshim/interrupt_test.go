package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// interrupt starts a program, waits for its first line of output, which is to
// be "ready PID", sends the signal to the process that it started, and prints
// what it sees. With "ignored" in place of "default" the program is started
// with SIGINT ignored, as a shell starts a job in the background.
//
//	interrupt default|ignored INT|TERM PROGRAM [ARGUMENT...]
func interrupt() {
	switch os.Args[1] {
	case "ignored":
		signal.Ignore(os.Interrupt)
	case "default":
		// A caught signal has its default effect on a child, an ignored one not.
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	sent := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[os.Args[2]]
	cmd := exec.Command(os.Args[3], os.Args[4:]...)
	cmd.Stdin = os.Stdin
	output, err := cmd.StdoutPipe()
	check(err)
	check(cmd.Start())
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var pid int
		if n, _ := fmt.Sscanf(lines.Text(), "ready %d", &pid); n == 1 {
			fmt.Println("same process:", pid == cmd.Process.Pid)
			check(cmd.Process.Signal(sent))
			continue
		}
		fmt.Println(lines.Text())
	}
	check(lines.Err())
	_ = cmd.Wait() // the state tells
	fmt.Println("ended:", cmd.ProcessState)
}
