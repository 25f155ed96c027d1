package createoptions

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// number reads a whole number of at least 0.
func number(to *int64, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a whole number of at least 0", value)
	}
	*to = n
	return nil
}

// size reads a size into a field.
func size(field func(*Options) *int64) reader {
	return func(p *parser, value string) error {
		n, err := bytes(value)
		if err != nil {
			return err
		}
		*field(&p.out) = n
		return nil
	}
}

// bytes reads Docker's sizes: 512, 64k, 1.5g, 2gb.
func bytes(value string) (int64, error) {
	n, err := units.RAMInBytes(value)
	if err != nil || n < 0 || n > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is not a size such as 512m or 2g", value)
	}
	return n, nil
}

// duration reads a duration of the health check into a field.
func duration(field func(*Health) *time.Duration) reader {
	return func(p *parser, value string) error {
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a duration such as 10s or 1m30s", value)
		case d < 0 || d > 0 && d < time.Millisecond:
			return fmt.Errorf("%q is neither 0 nor at least 1ms", value)
		}
		*field(&p.out.Health) = d
		return nil
	}
}

func (p *parser) healthRetries(value string) error {
	var n int64
	if err := number(&n, value); err != nil {
		return err
	}
	p.out.Health.Retries = int(min(n, math.MaxInt32))
	return nil
}

// maxCPUs is far above any machine, and small enough to count in thousandths.
const maxCPUs = 1e6

func (p *parser) cpus(value string) error {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n >= 0 && n <= maxCPUs) {
		return fmt.Errorf("%q is not a number of CPUs such as 2 or 0.5", value)
	}
	p.out.CPUMillis = int64(math.Ceil(n * 1000))
	return nil
}

func (p *parser) ipc(value string) error {
	switch value {
	case "", "private", "shareable":
		p.out.HostIPC = false
	case "host":
		p.out.HostIPC = true
	default:
		return fmt.Errorf("%s: %w", value, errNoCounterpart)
	}
	return nil
}

func (p *parser) ulimit(value string) error {
	limit, err := units.ParseUlimit(value)
	if err != nil {
		return fmt.Errorf("%q is not NAME=SOFT[:HARD] with a name that Linux has", value)
	}
	made := Ulimit{Name: limit.Name, Soft: limit.Soft, Hard: limit.Hard}
	p.out.Ulimits = slices.DeleteFunc(p.out.Ulimits, func(u Ulimit) bool { return u.Name == made.Name })
	p.out.Ulimits = append(p.out.Ulimits, made)
	return nil
}

// safeSysctl tells those that a kubelet allows without a setting of its own
// (https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/).
func safeSysctl(name string) bool {
	return slices.Contains([]string{
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
		"net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
		"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
		"net.ipv4.tcp_keepalive_probes",
	}, name)
}

func (p *parser) sysctl(value string) error {
	name, setting, ok := strings.Cut(value, "=")
	switch {
	case !ok:
		return fmt.Errorf("%q is not NAME=VALUE", value)
	case !safeSysctl(name):
		return fmt.Errorf("%s is not one that Kubernetes lets a pod set", name)
	}
	if p.out.Sysctls == nil {
		p.out.Sysctls = map[string]string{}
	}
	p.out.Sysctls[name] = setting
	return nil
}

func (p *parser) envVar(value string) error {
	name, _, _ := strings.Cut(value, "=")
	if name == "" || strings.IndexByte(value, 0) >= 0 {
		return errors.New("has no proper name of a variable before its =")
	}
	p.env = append(p.env, value)
	return nil
}

func (p *parser) workDir(value string) error {
	if !strings.HasPrefix(value, "/") {
		return fmt.Errorf("%q is not an absolute path", value)
	}
	p.out.WorkDir = value
	return nil
}

// addHost reads NAME:IP and NAME=IP, the address of IPv6 in brackets or not.
func (p *parser) addHost(value string) error {
	at := strings.IndexAny(value, ":=")
	if at <= 0 {
		return fmt.Errorf("%q is not NAME:IP", value)
	}
	name, text := value[:at], value[at+1:]
	if text == "host-gateway" {
		return fmt.Errorf("%s: host-gateway %w", name, errNoCounterpart)
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return fmt.Errorf("%q is not NAME:IP", value)
	}
	p.out.Hosts = append(p.out.Hosts, Host{Name: name, IP: ip})
	return nil
}

func (p *parser) dns(value string) error {
	ip, err := netip.ParseAddr(value)
	if err != nil || ip.Zone() != "" {
		return fmt.Errorf("%q is not an IP address", value)
	}
	p.out.DNS = append(p.out.DNS, ip)
	return nil
}

func (p *parser) pull(value string) error {
	if !slices.Contains([]string{"always", "missing", "never"}, value) {
		return fmt.Errorf("%q is none of always, missing and never", value)
	}
	p.out.Pull = value
	return nil
}

// platform reads linux/ARCH[/VARIANT] and a bare ARCH.
func (p *parser) platform(value string) error {
	parts := strings.Split(value, "/")
	if len(parts) == 1 && parts[0] != "linux" {
		parts = []string{"linux", parts[0]}
	}
	switch {
	case parts[0] != "linux" || len(parts) > 3 || slices.Contains(parts, ""):
		return fmt.Errorf("%q is not a platform of Linux such as linux/amd64", value)
	case len(parts) == 1:
		return nil
	}
	p.out.Arch = arch(parts[1])
	return nil
}

// arch gives the name that nodes carry.
func arch(name string) string {
	switch name {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return name
}
