package spool

import "fmt"

// fileEntered is, in a request for a job's containers, the shim's statement that the
// agent of the job container has answered it.
const fileEntered = "entered"

// Enter publishes that the agent with that mark has answered.
func (d *Draft) Enter(mark string) error {
	if err := writeFile(d.dir, fileEntered, []byte(mark)); err != nil {
		return fmt.Errorf("say that the job container answers: %w", err)
	}
	return nil
}

// Entered returns the mark of the agent that has answered the shim, "" before.
func (c *Claim) Entered() string {
	const longest = 64
	data, err := readPlain(c.dir, fileEntered, longest)
	if err != nil {
		return ""
	}
	return string(data)
}
