package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The files that are read once.
const (
	HostsFile      = "/etc/hosts"
	NameServerFile = "/etc/resolv.conf"
)

const (
	// maxFile bounds what is read of a file, in bytes.
	maxFile = 1 << 20
	// dnsPort is where name servers listen.
	dnsPort = 53
)

// Bounds of what the options of resolv.conf may say, as in the manual page
// resolv.conf(5), and what they are without.
const (
	defaultTimeout, maxTimeout   = 5, 30 // seconds
	defaultAttempts, maxAttempts = 2, 5
	defaultDots, maxDots         = 1, 15
	maxServers                   = 3
)

// Config is what a pod's /etc/hosts and /etc/resolv.conf say. It can be written
// as JSON and read again.
type Config struct {
	// Hosts are the addresses of names that need no name server. Names are in
	// small letters and without a dot at the end.
	Hosts map[string][]netip.Addr `json:"hosts,omitempty"`
	// Servers are the name servers, in the order in which they are asked.
	Servers []netip.AddrPort `json:"servers,omitempty"`
	// Search are the domains that are tried behind a name with fewer dots than
	// Dots before the name itself.
	Search []string `json:"search,omitempty"`
	Dots   int      `json:"dots"`
	// Timeout is how long a server has to answer a question, Attempts how often
	// all of them are asked.
	Timeout  time.Duration `json:"timeout"`
	Attempts int           `json:"attempts"`
	// Rotate spreads the questions over the servers, TCP asks by TCP alone.
	Rotate bool `json:"rotate,omitempty"`
	TCP    bool `json:"tcp,omitempty"`
}

// Read reads the files. One that is missing says nothing; without name servers
// names are found in hosts alone.
func Read(hosts, nameServers string) (Config, error) {
	names, err := readFile(hosts)
	if err != nil {
		return Config{}, err
	}
	servers, err := readFile(nameServers)
	if err != nil {
		return Config{}, err
	}
	return Parse(names, servers), nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how names are looked up: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read how names are looked up: %w", err)
	}
	return content, nil
}

// Parse reads the content of /etc/hosts (hosts(5)) and of /etc/resolv.conf
// (resolv.conf(5)). As there, what cannot be read is passed over.
func Parse(hosts, nameServers []byte) Config {
	c := Config{Hosts: map[string][]netip.Addr{}, Dots: defaultDots, Timeout: defaultTimeout * time.Second, Attempts: defaultAttempts}
	for line := range bytes.Lines(hosts) {
		c.addHost(fields(line, "#"))
	}
	for line := range bytes.Lines(nameServers) {
		c.addServerLine(fields(line, "#;"))
	}
	return c
}

// fields are the words of a line up to a comment.
func fields(line []byte, comment string) []string {
	if at := bytes.IndexAny(line, comment); at >= 0 {
		line = line[:at]
	}
	return strings.Fields(string(line))
}

func (c *Config) addHost(words []string) {
	if len(words) < 2 {
		return
	}
	address, err := netip.ParseAddr(words[0])
	if err != nil {
		return
	}
	for _, name := range words[1:] {
		if name = bare(name); !slices.Contains(c.Hosts[name], address) {
			c.Hosts[name] = append(c.Hosts[name], address)
		}
	}
}

// bare is a name as Config.Hosts has it.
func bare(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (c *Config) addServerLine(words []string) {
	if len(words) < 2 {
		return
	}
	switch words[0] {
	case "nameserver":
		if address, err := netip.ParseAddr(words[1]); err == nil && len(c.Servers) < maxServers {
			c.Servers = append(c.Servers, netip.AddrPortFrom(address, dnsPort))
		}
	case "domain": // the last of the two lines counts
		c.Search = searchList(words[1:2])
	case "search":
		c.Search = searchList(words[1:])
	case "options":
		for _, option := range words[1:] {
			c.addOption(option)
		}
	}
}

func searchList(domains []string) []string {
	var list []string
	for _, domain := range domains {
		if domain = bare(domain); domain != "" {
			list = append(list, domain)
		}
	}
	return list
}

func (c *Config) addOption(option string) {
	name, value, _ := strings.Cut(option, ":")
	number, err := strconv.Atoi(value)
	switch {
	case name == "rotate":
		c.Rotate = true
	case name == "use-vc" || name == "usevc" || name == "tcp":
		c.TCP = true
	case err != nil || number < 0:
	case name == "ndots":
		c.Dots = min(number, maxDots)
	case name == "timeout":
		c.Timeout = time.Duration(min(max(number, 1), maxTimeout)) * time.Second
	case name == "attempts":
		c.Attempts = min(max(number, 1), maxAttempts)
	}
}

// candidates are the names that name may stand for, in the order in which they
// are tried: with the search list behind it, and as it is.
func (c *Config) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var list []string
	for _, domain := range c.Search {
		list = append(list, name+"."+domain+".")
	}
	if strings.Count(name, ".") >= c.Dots {
		return append([]string{name + "."}, list...)
	}
	return append(list, name+".")
}
