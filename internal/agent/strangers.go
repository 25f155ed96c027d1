package agent

import (
	"net"
	"sync"
	"time"
)

// Limits of connections over TCP that have not told the secret. Who has it sends it at
// once, and yet seconds later where its node has no processor to spare.
const (
	maxStrangers = 256
	secretLimit  = 10 * time.Second
)

// strangers are the connections of one listener that have not told the secret. None
// of them waits for another: of more than can be kept the oldest is hung up on.
type strangers struct {
	mu   sync.Mutex
	all  [maxStrangers]net.Conn
	next int // where the oldest one is
}

// enter keeps a connection among them until leave is called.
func (s *strangers) enter(conn net.Conn) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := &s.all[s.next]
	s.next = (s.next + 1) % maxStrangers
	if *place != nil {
		_ = (*place).Close() // who serves it finds that out
	}
	*place = conn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if *place == conn {
			*place = nil
		}
	}
}
