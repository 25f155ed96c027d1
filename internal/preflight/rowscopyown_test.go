package preflight_test

import (
	"strings"
	"testing"

	"kiln/internal/preflight"
)

// What the container has of its own, as a source and as a target, and pipes that
// another stage takes over.
func TestOwnPaths(t *testing.T) {
	const source, target, brings, special = "files of its own container", "the path belongs to", "belong to the running container", "named pipes"
	stage := func(run, copies string) string {
		return "FROM busybox AS a\nRUN " + run + "\nFROM busybox\nCOPY --from=a " + copies + "\n"
	}
	for _, tt := range []struct{ dockerfile, want string }{
		{stage("true", "/etc/ /x/"), source},
		{stage("true", "etc /x"), source},
		{stage("true", "/etc/* /x/"), source},
		{stage("true", "/e?c /x/"), source},
		{stage("true", "/etc/h* /x/"), source},
		{stage("true", "/*/hosts /x/"), source},
		{stage("true", "/etc/passwd /etc/hostname /x/"), source},
		{stage("true", "/usr/../etc /x"), source},
		{stage("true", "/proc/self/root/etc/hosts /x"), source},
		{stage("true", "/dev/null /x"), source},
		{stage("true", "/var/run /x"), source},
		{stage("ln -s /etc /e", "/e/hosts /x"), source},
		{stage("ln -sfn / /opt/all", "/opt/all/etc /x"), source},
		{"FROM busybox AS a\nRUN ln -s /etc /e\nFROM a AS b\nFROM busybox\nCOPY --from=b /e/* /x/\n", source},
		{stage("true", "/etc/passwd /etc/ssl /x/"), ""},
		{stage("true", "/etc/p* /x/"), ""},
		{stage("true", "/opt/etc /developer /x/"), ""},
		{stage("ln -s /opt/v1 /opt/current", "/opt/current/hosts /x"), ""},
		{"FROM busybox\nCOPY --from=alpine /etc /x\n", ""},

		{"FROM busybox\nCOPY root /\n", target},
		{"FROM busybox\nCOPY root/ /../\n", target},
		{"FROM busybox\nWORKDIR /etc\nCOPY root/etc .\n", target},
		{"FROM busybox\nCOPY root/etc/h* /etc/\n", target},
		{"FROM busybox\nADD root/etc/hosts root/etc/motd /etc/\n", target},
		{"FROM busybox\nCOPY root/etc/motd /etc/hosts\n", "the running container"},
		{"FROM busybox\nCOPY kan /\n", target},
		{"FROM busybox\nCOPY root /srv\n", ""},
		{"FROM busybox\nCOPY root/etc/motd /etc/\n", ""},
		{"FROM busybox\nCOPY empty /\n", ""},
		{"FROM busybox\nCOPY root/etc/hosts /etc/hosts.allow\n", ""},

		{stage("mkdir -p /r/etc && echo > /r/etc/hosts", "/r /"), brings},
		{stage("mkdir /r && cp /x /r/resolv.conf", "/r/ /etc"), brings},
		{stage("cat /etc/hosts && mkdir /r", "/r /"), ""},
		{stage("cp hosts.txt /r/hosts.txt", "/r /"), ""},
		{stage("mkdir -p /r/etc && echo > /r/etc/hosts", "/r /srv"), ""},
		{"FROM busybox\nCOPY --from=alpine / /\n", brings},
		{"FROM busybox\nCOPY --from=alpine /usr/lib /usr/lib\n", ""},

		{"FROM busybox\nRUN cat /etc/hostname > /x\n", "what a RUN writes there is missing"},
		{"FROM busybox\nRUN cd /etc && ln -sf /proc/mounts mtab\n", "what a RUN writes there is missing"},
		{"FROM busybox\nRUN grep -q proc /etc/mtab; cat /etc/hostname.d/x; cat /etc/hosts\n", ""},

		{stage("mkfifo /q/p", "/q /q"), special},
		{stage("mkfifo -m 600 /q/p", "/q/* /q/"), special},
		{stage("cd /q && mkfifo p", "/x /q"), special},
		{stage("mknod /dev/x c 1 3; mknod $D/y p", "/x /q"), special},
		{"FROM busybox AS a\nRUN mkfifo /p\nFROM a AS b\nFROM b\n", special},
		{stage("mkfifo /tmp/p && rm /tmp/p", "/q /q"), ""},
		{"FROM busybox\nRUN mkfifo /p\nRUN test -p /p\n", ""},
	} {
		tree := contextOf(t, []string{
			"root/", "root/etc/", "root/etc/hosts", "root/etc/motd", "kan/", "kan/kaniko/", "kan/kaniko/f",
			"empty/", "empty/dev/", "empty/etc/", "empty/etc/motd",
		})
		got, text := verdictWithin(t, tt.dockerfile, preflight.Chainguard, tree)
		if (tt.want == "") != (got == preflight.Same) || !strings.Contains(text, tt.want) {
			t.Errorf("%q: Report says %s, want %q\n%s", tt.dockerfile, got, tt.want, text)
		}
	}
}
