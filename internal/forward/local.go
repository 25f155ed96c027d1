package forward

import "sync"

// Local is what forwards ports in this process, for one job at a time: they end with it.
// The zero value has no ports. It is safe for concurrent use.
type Local struct {
	mu   sync.Mutex
	open *Forwarder // nil while no port is
	lost error
}

// Open opens the ports of all rules, as [Open] does, after those of an earlier job are
// closed.
func (l *Local) Open(rules []Rule) ([]Rule, error) {
	l.Close()
	opened, made, err := Open(rules)
	if err != nil {
		return nil, err
	}
	l.hold(opened)
	return made, nil
}

// Keep does nothing: the ports stay until [Local.Close].
func (l *Local) Keep() error { return nil }

// Resume opens the ports again that an earlier process had, as [Reopen] does.
func (l *Local) Resume(rules []Rule) error {
	l.Close()
	opened, err := Reopen(rules)
	l.hold(opened)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = err
	return err
}

// Lost is the error of ports that could not be opened again; nil where there are none.
func (l *Local) Lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Close closes all ports and connections.
func (l *Local) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = nil
	if l.open != nil {
		l.open.Close()
		l.open = nil
	}
}

// hold keeps what was opened.
func (l *Local) hold(opened *Forwarder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = opened
}
