package assemble

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"kiln/internal/split"
)

// maxPorts bounds the ports of one EXPOSE.
const maxPorts = 2000

// ports finds a port or a range of ports. An address, and a port of the host, are for
// nobody's good and not known here.
var ports = regexp.MustCompile(`^([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([A-Za-z]*))?$`)

// expose follows an EXPOSE.
func (c *config) expose(command *instructions.ExposeCommand, scope *split.Scope) error {
	var exposed []string
	for _, text := range command.Ports {
		words, err := scope.Words(text)
		if err != nil {
			return err
		}
		for _, word := range words {
			some, err := portsOf(word)
			if err != nil {
				return err
			}
			if exposed = append(exposed, some...); len(exposed) > maxPorts {
				return errors.New("too many ports")
			}
		}
	}
	if c.image.Config.ExposedPorts == nil {
		c.image.Config.ExposedPorts = map[string]struct{}{}
	}
	for _, port := range exposed {
		c.image.Config.ExposedPorts[port] = struct{}{}
	}
	c.history(fmt.Sprintf("EXPOSE %v", exposed), false)
	return nil
}

// portsOf returns the ports of a range, each with its protocol.
func portsOf(text string) ([]string, error) {
	found := ports.FindStringSubmatch(text)
	if found == nil {
		return nil, errors.New("ports of a form that is not known")
	}
	first, _ := strconv.Atoi(found[1]) // digits
	last, protocol := first, strings.ToLower(found[3])
	if found[2] != "" {
		last, _ = strconv.Atoi(found[2]) // digits
	}
	if protocol == "" {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" || last < first || last > 65535 || last-first >= maxPorts {
		return nil, errors.New("ports that are none")
	}
	var all []string
	for port := first; port <= last; port++ {
		all = append(all, strconv.Itoa(port)+"/"+protocol)
	}
	return all, nil
}
