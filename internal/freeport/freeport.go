// Package freeport finds ports of this machine for tests that close one and want it
// again, or want nobody to listen there. It does not keep them: only what asks for the very
// number can take it meanwhile.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Find returns a TCP port that nobody listens at, between 10,000 and 30,000: Linux gives
// none below 32,768 to who asks for any (ip_local_port_range, ip(7)). The error is that of
// the last of a hundred that it tried.
func Find() (port uint16, err error) {
	for range 100 {
		port = 10_000 + uint16(rand.N(20_000))
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
