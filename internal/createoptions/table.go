package createoptions

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// option is one flag of docker create.
type option struct {
	name, short string
	// toggle is a flag without a value; read then gets "true" or "false".
	toggle bool
	read   reader
}

// reader takes one occurrence of an option. Its errors go on from "options: --NAME".
type reader func(p *parser, value string) error

// table is all of docker/cli's cli/command/container/opts.go and create.go.
func table() []option {
	return slices.Concat(rights(), limits(), files(), process(), network(), health(), image(),
		silent(), tuned(), refused(), windows())
}

func rights() []option {
	return []option{
		{name: "user", short: "u", read: (*parser).user},
		{name: "privileged", toggle: true, read: (*parser).privileged},
		{name: "cap-add", read: (*parser).capAdd},
		{name: "cap-drop", read: (*parser).capDrop},
		{name: "security-opt", read: (*parser).securityOpt},
		{name: "group-add", read: appendTo(func(o *Options) *[]string { return &o.Groups })},
		{name: "device", read: (*parser).device},
		{name: "gpus", read: (*parser).gpus},
	}
}

func limits() []option {
	return []option{
		{name: "cpus", read: (*parser).cpus},
		{name: "cpu-quota", read: func(p *parser, v string) error { return number(&p.quota, v) }},
		{name: "cpu-period", read: func(p *parser, v string) error { return number(&p.period, v) }},
		{name: "memory", short: "m", read: size(func(o *Options) *int64 { return &o.Memory })},
		{name: "memory-reservation", read: size(func(o *Options) *int64 { return &o.MemoryReservation })},
		{name: "shm-size", read: size(func(o *Options) *int64 { return &o.ShmSize })},
		{name: "ipc", read: (*parser).ipc},
		{name: "ulimit", read: (*parser).ulimit},
		{name: "sysctl", read: (*parser).sysctl},
	}
}

func files() []option {
	return []option{
		{name: "volume", short: "v", read: (*parser).volume},
		{name: "mount", read: (*parser).mount},
		{name: "tmpfs", read: (*parser).tmpfs},
		{name: "read-only", toggle: true, read: toggle(func(o *Options) *bool { return &o.ReadOnly })},
	}
}

func process() []option {
	return []option{
		{name: "env", short: "e", read: (*parser).envVar},
		{name: "env-file", read: func(p *parser, v string) error { p.envFiles = append(p.envFiles, v); return nil }},
		{name: "entrypoint", read: func(p *parser, v string) error { p.out.Entrypoint = &v; return nil }},
		{name: "workdir", short: "w", read: (*parser).workDir},
		{name: "init", toggle: true, read: toggle(func(o *Options) *bool { return &o.Init })},
		{name: "restart", read: func(p *parser, v string) error { p.out.Restart = v; return nil }},
	}
}

func network() []option {
	aliases := appendTo(func(o *Options) *[]string { return &o.Aliases })
	dnsOptions := appendTo(func(o *Options) *[]string { return &o.DNSOptions })
	return []option{
		{name: "name", read: setTo(func(o *Options) *string { return &o.Name })},
		{name: "hostname", short: "h", read: setTo(func(o *Options) *string { return &o.Hostname })},
		{name: "network-alias", read: aliases},
		{name: "net-alias", read: aliases},
		{name: "network", read: networkMode("network")},
		{name: "net", read: networkMode("net")},
		{name: "add-host", read: (*parser).addHost},
		{name: "dns", read: (*parser).dns},
		{name: "dns-search", read: appendTo(func(o *Options) *[]string { return &o.DNSSearch })},
		{name: "dns-opt", read: dnsOptions},
		{name: "dns-option", read: dnsOptions},
		{name: "publish", short: "p", read: appendTo(func(o *Options) *[]string { return &o.Publish })},
	}
}

func health() []option {
	return []option{
		{name: "health-cmd", read: setTo(func(o *Options) *string { return &o.Health.Command })},
		{name: "health-interval", read: duration(func(h *Health) *time.Duration { return &h.Interval })},
		{name: "health-timeout", read: duration(func(h *Health) *time.Duration { return &h.Timeout })},
		{name: "health-start-period", read: duration(func(h *Health) *time.Duration { return &h.StartPeriod })},
		{name: "health-start-interval", read: duration(func(h *Health) *time.Duration { return &h.StartInterval })},
		{name: "health-retries", read: (*parser).healthRetries},
		{name: "no-healthcheck", toggle: true, read: toggle(func(o *Options) *bool { return &o.Health.Disabled })},
	}
}

func image() []option {
	return []option{
		{name: "pull", read: (*parser).pull},
		{name: "platform", read: (*parser).platform},
	}
}

// silent are the options that mean nothing in a job, or what a pod does anyway.
func silent() []option {
	ignore := func(*parser, string) error { return nil }
	var all []option
	for _, o := range []option{
		{name: "rm", toggle: true},
		{name: "tty", short: "t", toggle: true},
		{name: "interactive", short: "i", toggle: true},
		{name: "detach", short: "d", toggle: true},
		{name: "quiet", short: "q", toggle: true},
		{name: "publish-all", short: "P", toggle: true},
		{name: "disable-content-trust", toggle: true},
		{name: "sig-proxy", toggle: true},
		{name: "attach", short: "a"},
		{name: "detach-keys"},
		{name: "label", short: "l"},
		{name: "label-file"},
		{name: "annotation"},
		{name: "stop-signal"},
		{name: "stop-timeout"},
		{name: "log-driver"},
		{name: "log-opt"},
		{name: "cidfile"},
		{name: "expose"},
	} {
		o.read = ignore
		all = append(all, o)
	}
	return all
}

// tuned are the options that change how fast or how much, never what.
func tuned() []option {
	all := []option{{name: "cpu-shares", short: "c"}}
	for _, name := range []string{
		"cpuset-cpus", "cpuset-mems", "cpu-rt-period", "cpu-rt-runtime", "pids-limit",
		"memory-swap", "memory-swappiness", "kernel-memory", "storage-opt", "domainname",
		"device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops", "umask",
	} {
		all = append(all, option{name: name})
	}
	for i, o := range all {
		all[i].read = func(p *parser, _ string) error { p.tunes = append(p.tunes, "--"+o.name); return nil }
	}
	return all
}

// refused are the options that have no counterpart; some have a value that
// asks for nothing, and is the default.
func refused() []option {
	all := []option{
		{name: "oom-kill-disable", toggle: true, read: refuseUnless("false")},
		{name: "use-api-socket", toggle: true, read: refuseUnless("false")},
		{name: "cgroupns", read: refuseUnless("private", "")},
		{name: "pid", read: refuseUnless("", "private")},
		{name: "uts", read: refuseUnless("")},
		{name: "userns", read: refuseUnless("")},
		{name: "runtime", read: refuseUnless("", "runc")},
		{name: "volume-driver", read: refuseUnless("", "local")},
		{name: "isolation", read: refuseUnless("", "default")},
	}
	for _, name := range []string{
		"link", "link-local-ip", "ip", "ip6", "mac-address", "volumes-from", "cgroup-parent",
		"blkio-weight", "blkio-weight-device", "oom-score-adj", "device-cgroup-rule",
	} {
		all = append(all, option{name: name, read: refuseUnless()})
	}
	return all
}

// windows are options that Docker itself ignores or refuses on Linux.
func windows() []option {
	var all []option
	for _, name := range []string{"cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"} {
		all = append(all, option{name: name, read: func(*parser, string) error { return errors.New("is for Windows alone") }})
	}
	return all
}

// refuseUnless lets these values pass without effect.
func refuseUnless(defaults ...string) reader {
	return func(_ *parser, value string) error {
		if slices.Contains(defaults, value) {
			return nil
		}
		return errNoCounterpart
	}
}

var errNoCounterpart = errors.New("has no counterpart on Kubernetes")

// networkMode reads --network: every container of a job is on the job's network.
func networkMode(name string) reader {
	return func(p *parser, value string) error {
		switch value {
		case "none":
			return fmt.Errorf("none: %w", errNoCounterpart)
		case "", "default", "bridge":
		default:
			p.tunes = append(p.tunes, "--"+name)
		}
		return nil
	}
}

func appendTo(field func(*Options) *[]string) reader {
	return func(p *parser, value string) error {
		list := field(&p.out)
		*list = append(*list, value)
		return nil
	}
}

func setTo(field func(*Options) *string) reader {
	return func(p *parser, value string) error {
		*field(&p.out) = value
		return nil
	}
}

func toggle(field func(*Options) *bool) reader {
	return func(p *parser, value string) error {
		*field(&p.out) = value == "true"
		return nil
	}
}
