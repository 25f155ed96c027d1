// Package resolver looks up the names of hosts by what a pod's /etc/hosts and
// /etc/resolv.conf said once, and never reads them again.
//
// The containers of a pod share these files, and root in any of them can write
// them: a RUN step in a build pod, a job in a runner pod. Go's own resolver
// reads them again every few seconds (https://pkg.go.dev/net#hdr-Name_Resolution),
// also one with a Dial of its own. So the gate and kilnd read them before
// foreign code can run, and ask the name servers that they found then.
//
// A [Resolver] finds IPv4 and IPv6 addresses. It has the search list, ndots,
// timeout, attempts, rotate and use-vc of resolv.conf(5), asks again by TCP where
// an answer does not fit, and remembers nothing. It does not check DNSSEC: who a
// host is must be left to TLS. It does not read nsswitch.conf, and asks by
// neither mDNS nor a socket of systemd.
package resolver
