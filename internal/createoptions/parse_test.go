package createoptions_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kiln/internal/createoptions"
)

// parse reads a line that has no fault.
func parse(t *testing.T, line string, outside createoptions.Outside) createoptions.Options {
	t.Helper()
	got, err := createoptions.Parse(line, outside)
	if err != nil {
		t.Fatalf("Parse(%q): %v", line, err)
	}
	return got
}

// TestWorkflows reads options of the kinds that public workflows have.
func TestWorkflows(t *testing.T) {
	postgres := createoptions.Options{Health: createoptions.Health{
		Command: "pg_isready", Interval: 10 * time.Second, Timeout: 5 * time.Second, Retries: 5,
	}}
	mysql := createoptions.Options{Health: createoptions.Health{Command: "mysqladmin ping -h localhost", Interval: 10 * time.Second}}
	for name, test := range map[string]struct {
		line string
		want createoptions.Options
	}{
		"empty":                   {" \n", createoptions.Options{}},
		"documented":              {"--health-cmd pg_isready --health-interval 10s --health-timeout 5s --health-retries 5", postgres},
		"equals signs":            {"--health-cmd=pg_isready --health-interval=10s --health-timeout=5s --health-retries=5\n", postgres},
		"one a line":              {"--health-cmd pg_isready\n--health-interval 10s\r\n--health-timeout 5s\n  --health-retries 5\n", postgres},
		"quotes around the value": {`--health-cmd "mysqladmin ping -h localhost" --health-interval 10s`, mysql},
		"quotes in the middle":    {`--health-cmd="mysqladmin ping -h localhost" --health-interval=10s`, mysql},
		"quotes around it all":    {`"--health-cmd=mysqladmin ping -h localhost" --health-interval=10s`, mysql},
		"single quotes":           {`--health-cmd 'mysqladmin ping -h localhost' --health-interval 10s`, mysql},
		"single quotes behind =":  {`--health-cmd='mysqladmin ping -h localhost' --health-interval=10s`, mysql},
		"quotes in quotes": {
			`--health-cmd "/opt/sqlcmd -Q \"SELECT 1\" || exit 1"`,
			createoptions.Options{Health: createoptions.Health{Command: `/opt/sqlcmd -Q "SELECT 1" || exit 1`}},
		},
		"single in double quotes": {
			`--health-cmd "sh -c 'test -e /x'"`,
			createoptions.Options{Health: createoptions.Health{Command: "sh -c 'test -e /x'"}},
		},
		"Playwright": {"--init --ipc=host --user 1001", createoptions.Options{
			Init: true, HostIPC: true, User: &createoptions.User{Name: "1001", UID: new(int64(1001))},
		}},
		"machine learning": {"--gpus all --ipc=host --shm-size=2g --group-add video --cpus 2 --memory 4g", createoptions.Options{
			GPUs: createoptions.AllGPUs, HostIPC: true, ShmSize: 2 << 30, Groups: []string{"video"}, CPUMillis: 2000, Memory: 4 << 30,
		}},
		"root":   {"--user root", createoptions.Options{User: &createoptions.User{Name: "root", UID: new(int64(0))}}},
		"groups": {"-u root:0", createoptions.Options{User: &createoptions.User{Name: "root", UID: new(int64(0)), Group: "0", GID: new(int64(0))}}},
		"user by name, last counts": {"--user 1 -u=node:staff", createoptions.Options{
			User: &createoptions.User{Name: "node", Group: "staff"},
		}},
		"data in memory": {"--tmpfs /var/lib/mysql:rw,noexec,size=512m --mount type=tmpfs,dst=/run/x,tmpfs-size=1m", createoptions.Options{
			Tmpfs: []createoptions.Tmpfs{{Path: "/var/lib/mysql", Bytes: 512 << 20}, {Path: "/run/x", Bytes: 1 << 20}},
		}},
		"a service that comes back": {"--restart on-failure:3 --init", createoptions.Options{Restart: "on-failure:3", Init: true}},
		"names": {"--name mongo --hostname db --network-alias a --net-alias=b", createoptions.Options{
			Name: "mongo", Hostname: "db", Aliases: []string{"a", "b"},
		}},
		"clusters": {`-itu1000 -v/x -m1g -e "A=b c"`, createoptions.Options{
			User:    &createoptions.User{Name: "1000", UID: new(int64(1000))},
			Volumes: []createoptions.Volume{{Target: "/x"}}, Memory: 1 << 30, Env: map[string]string{"A": "b c"},
		}},
		"entrypoint reset": {`--entrypoint ""`, createoptions.Options{Entrypoint: new(string)}},
		"volumes": {"-v data:/data -v /w/x/../y:/z/:ro --volume /cache --mount type=bind,source=/a,target=/b,readonly --mount src=n,dst=/c,ro=false", createoptions.Options{
			Volumes: []createoptions.Volume{
				{Source: "data", Target: "/data"},
				{Source: "/w/y", Target: "/z", ReadOnly: true},
				{Target: "/cache"},
				{Source: "/a", Target: "/b", ReadOnly: true},
				{Source: "n", Target: "/c"},
			},
		}},
		"network": {"--add-host a:10.0.0.1 --add-host=b=[::1] --add-host c:::1 --dns 8.8.8.8 --dns-search x --dns-opt ndots:2 -p 80:80", createoptions.Options{
			Hosts: []createoptions.Host{
				{Name: "a", IP: netip.MustParseAddr("10.0.0.1")}, {Name: "b", IP: netip.IPv6Loopback()}, {Name: "c", IP: netip.IPv6Loopback()},
			},
			DNS: []netip.Addr{netip.MustParseAddr("8.8.8.8")}, DNSSearch: []string{"x"}, DNSOptions: []string{"ndots:2"}, Publish: []string{"80:80"},
		}},
		"limits": {"--ulimit nofile=1024:2048 --ulimit nofile=4096 --ulimit memlock=-1:-1 --memory-reservation 64m --sysctl net.ipv4.tcp_syncookies=1", createoptions.Options{
			Ulimits:           []createoptions.Ulimit{{Name: "nofile", Soft: 4096, Hard: 4096}, {Name: "memlock", Soft: -1, Hard: -1}},
			MemoryReservation: 64 << 20, Sysctls: map[string]string{"net.ipv4.tcp_syncookies": "1"},
		}},
		"quota":             {"--cpu-quota 50000", createoptions.Options{CPUMillis: 500}},
		"quota and period":  {"--cpu-quota 50000 --cpu-period 25000", createoptions.Options{CPUMillis: 2000}},
		"half a cpu":        {"--cpus=.5", createoptions.Options{CPUMillis: 500}},
		"no new privileges": {"--security-opt no-new-privileges:true --security-opt seccomp=builtin", createoptions.Options{Security: createoptions.Security{NoNewPrivileges: true}}},
		"other": {"--platform linux/arm64/v8 --pull always --read-only -w /src --no-healthcheck", createoptions.Options{
			Arch: "arm64", Pull: "always", ReadOnly: true, WorkDir: "/src", Health: createoptions.Health{Disabled: true},
		}},
		"platform by another name": {"--platform x86_64", createoptions.Options{Arch: "amd64"}},
		"platform without one":     {"--platform linux", createoptions.Options{}},
		"GPUs counted":             {"--gpus 2", createoptions.Options{GPUs: 2}},
		"GPUs named":               {`--gpus '"device=0,1",capabilities=utility'`, createoptions.Options{GPUs: 2}},
		"GPUs by key":              {"--gpus count=3", createoptions.Options{GPUs: 3}},
		"what means nothing":       {"--rm -dit -l a=b --log-driver none --log-opt max-size=1m --stop-timeout 1 --quiet --cidfile /x --network bridge", createoptions.Options{}},
		"defaults said aloud":      {"--pid= --uts= --cgroupns=private --runtime runc --ipc private --oom-kill-disable=false --privileged=false", createoptions.Options{}},
		"what only tunes": {"--cpu-shares 5 --pids-limit 1 -c 6 --network host", createoptions.Options{
			Warning: "options: --cpu-shares, --network, --pids-limit: no effect on Kubernetes",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, test.line, createoptions.Outside{})
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(createoptions.Options{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", test.line, diff)
			}
			if rights := got.Rights(); len(rights) > 0 {
				t.Errorf("Parse(%q).Rights() = %q, want none", test.line, rights)
			}
		})
	}
}

// TestRights finds what the operator has to allow, and sets it.
func TestRights(t *testing.T) {
	line := "--privileged=false --privileged --cap-add SYS_PTRACE --cap-add=cap_chown --cap-drop all --security-opt seccomp=unconfined " +
		"--security-opt apparmor:unconfined --security-opt systempaths=unconfined --security-opt label=disable --device /dev/kvm:/dev/k:rw --device=/dev/fuse"
	got := parse(t, line, createoptions.Outside{})
	want := createoptions.Options{
		Privileged: true, CapAdd: []string{"SYS_PTRACE", "CHOWN"}, CapDrop: []string{"ALL"},
		Security: createoptions.Security{
			UnconfinedSeccomp: true, UnconfinedAppArmor: true, UnmaskedPaths: true, SELinux: map[string]string{"type": "spc_t"},
		},
		Devices: []createoptions.Device{
			{Host: "/dev/kvm", Container: "/dev/k", Permissions: "rw"}, {Host: "/dev/fuse", Container: "/dev/fuse", Permissions: "rwm"},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(createoptions.Options{})); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	rights := []string{
		"--privileged", "--cap-add SYS_PTRACE", "--security-opt seccomp=unconfined", "--security-opt apparmor:unconfined",
		"--security-opt systempaths=unconfined", "--security-opt label=disable", "--device /dev/kvm:/dev/k:rw", "--device /dev/fuse",
	}
	if diff := cmp.Diff(rights, got.Rights()); diff != "" {
		t.Errorf("Rights (-want +got):\n%s", diff)
	}
	profile := parse(t, "--security-opt apparmor=mine --security-opt label=level:s0:c1", createoptions.Outside{})
	if s := profile.Security; s.AppArmor != "mine" || s.SELinux["level"] != "s0:c1" {
		t.Errorf("profiles = %+v", s)
	}
}

// TestEnv puts variables over those of files, and takes what has no value from
// the runner container.
func TestEnv(t *testing.T) {
	line := "-e A=cli --env-file .env -e OUTER --env MISSING -e EMPTY= --env-file /two -e GONE"
	outside := createoptions.Outside{
		Files: map[string]string{".env": "# no\n\nA=file\n  B=b # kept\r\nFROM\nGONE=x", "/two": "C=c=d\n"},
		Env:   map[string]string{"OUTER": "1", "FROM": "2"},
	}
	want := map[string]string{"A": "cli", "B": "b # kept", "C": "c=d", "OUTER": "1", "EMPTY": "", "FROM": "2"}
	if diff := cmp.Diff(want, parse(t, line, outside).Env); diff != "" {
		t.Errorf("Env (-want +got):\n%s", diff)
	}
	files, variables := createoptions.Outer(line)
	if diff := cmp.Diff([]string{".env", "/two"}, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"OUTER", "MISSING", "GONE"}, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if files, variables := createoptions.Outer("--env-file x -e Y --link z"); files != nil || variables != nil {
		t.Errorf("Outer of refused options = %q, %q", files, variables)
	}
}

// TestRefused names the option and says what is wrong with it.
func TestRefused(t *testing.T) {
	for line, want := range map[string]string{
		"--link db":                             "options: --link has no counterpart on Kubernetes",
		"--pid host":                            "options: --pid has no counterpart on Kubernetes",
		"--volumes-from=x":                      "options: --volumes-from has no counterpart on Kubernetes",
		"--blkio-weight 3":                      "options: --blkio-weight has no counterpart on Kubernetes",
		"--oom-kill-disable":                    "options: --oom-kill-disable has no counterpart on Kubernetes",
		"--network none":                        "options: --network none: has no counterpart on Kubernetes",
		"--ipc container:x":                     "options: --ipc container:x: has no counterpart on Kubernetes",
		"--add-host x:host-gateway":             "options: --add-host x: host-gateway has no counterpart on Kubernetes",
		"--security-opt seccomp=/p":             "options: --security-opt seccomp=/p: has no counterpart on Kubernetes",
		"--security-opt label=x":                "options: --security-opt label=x: has no counterpart on Kubernetes",
		"--mount type=image,dst=/x":             `options: --mount "type=image,dst=/x": type image has no counterpart on Kubernetes`,
		"--mount src=a,dst=/x,volume-opt=o":     `options: --mount "src=a,dst=/x,volume-opt=o": volume-opt has no counterpart on Kubernetes`,
		"--cpu-count 1":                         "options: --cpu-count is for Windows alone",
		"--nope":                                "options: --nope is no option of docker create",
		"--health-cmd":                          "options: --health-cmd has no value",
		"-u":                                    "options: --user has no value",
		"-tz":                                   "options: -z is no option of docker create",
		"--help":                                "options: --help is for a terminal; take it out",
		"--init false":                          `options: "false" is not an option; a value with spaces needs double quotes around it`,
		"--health-cmd pg_isready -U x":          "options: -U is no option of docker create",
		"--init=maybe":                          `options: --init is on or off, and "maybe" is neither`,
		"--cpus many":                           `options: --cpus "many" is not a number of CPUs such as 2 or 0.5`,
		"--cpus nan":                            `options: --cpus "nan" is not a number of CPUs such as 2 or 0.5`,
		"--cpus 1e300":                          `options: --cpus "1e300" is not a number of CPUs such as 2 or 0.5`,
		"--memory 4x":                           `options: --memory "4x" is not a size such as 512m or 2g`,
		"--memory 99999999t":                    `options: --memory "99999999t" is not a size such as 512m or 2g`,
		"--tmpfs /x:size=y":                     `options: --tmpfs "y" is not a size such as 512m or 2g`,
		"--tmpfs x":                             `options: --tmpfs "x": the path in the container is absolute and not /`,
		"--mount type=tmpfs,dst=/x,tmpfs-size=": `options: --mount "type=tmpfs,dst=/x,tmpfs-size=": "" is not a size such as 512m or 2g`,
		"--health-interval 10":                  `options: --health-interval "10" is not a duration such as 10s or 1m30s`,
		"--health-timeout -1s":                  `options: --health-timeout "-1s" is neither 0 nor at least 1ms`,
		"--health-retries -1":                   `options: --health-retries "-1" is not a whole number of at least 0`,
		"--no-healthcheck --health-retries 1":   "options: --no-healthcheck contradicts --health-*; take one of them out",
		"--ulimit no=1":                         `options: --ulimit "no=1" is not NAME=SOFT[:HARD] with a name that Linux has`,
		"--sysctl kernel.msgmax=1":              "options: --sysctl kernel.msgmax is not one that Kubernetes lets a pod set",
		"--sysctl x":                            `options: --sysctl "x" is not NAME=VALUE`,
		"--env =secret":                         "options: --env has no proper name of a variable before its =",
		"--env-file /none":                      "options: --env-file /none: no such file in the runner container",
		"--env-file bad":                        "options: --env-file bad: a line has no proper name of a variable before its =",
		"--workdir src":                         `options: --workdir "src" is not an absolute path`,
		"--add-host x":                          `options: --add-host "x" is not NAME:IP`,
		"--add-host x:y":                        `options: --add-host "x:y" is not NAME:IP`,
		"--dns x":                               `options: --dns "x" is not an IP address`,
		"--pull often":                          `options: --pull "often" is none of always, missing and never`,
		"--platform windows/amd64":              `options: --platform "windows/amd64" is not a platform of Linux such as linux/amd64`,
		"--user :":                              `options: --user ":" is not NAME|UID[:GROUP|GID]`,
		"--user 4294967296":                     `options: --user "4294967296" is out of the range of user numbers`,
		"--user 1:99999999999999999999":         `options: --user "99999999999999999999" is out of the range of user numbers`,
		"--cap-add SYS-ADMIN":                   `options: --cap-add "SYS-ADMIN" is not the name of a capability`,
		"--cap-drop=":                           `options: --cap-drop "" is not the name of a capability`,
		"--device kvm":                          `options: --device "kvm" is not HOST-PATH[:PATH][:rwm]`,
		"--device /dev/kvm:x":                   `options: --device "/dev/kvm:x" is not HOST-PATH[:PATH][:rwm]`,
		"--gpus some":                           `options: --gpus "some" is neither all nor a number`,
		`--gpus a\"b`:                           `options: --gpus "a\"b" is neither all nor a number`,
		"-v ./x:/y":                             `options: --volume "./x:/y": a path of the host is absolute; ${{ github.workspace }} is the workspace's`,
		"-v x:y":                                `options: --volume "x:y": the path in the container is absolute and not /`,
		"-v x:/":                                `options: --volume "x:/": the path in the container is absolute and not /`,
		"-v :/x":                                `options: --volume ":/x" is not [SOURCE:]TARGET[:ro]`,
		"-v x:/y:exec":                          `options: --volume "x:/y:exec" is not [SOURCE:]TARGET[:ro]`,
		"-v a/b:/y":                             `options: --volume "a/b:/y": the name of a volume has letters, digits, _ . and - alone`,
		"--mount type=bind,src=x,dst=/y":        `options: --mount "type=bind,src=x,dst=/y": a bind wants an absolute path as source`,
		"--mount src=/x,dst=/y":                 `options: --mount "src=/x,dst=/y": a volume wants a name as source; type=bind has a path`,
		"--mount src=x,dst=/y,ro=?":             `options: --mount "src=x,dst=/y,ro=?": ro is on or off`,
		"--mount src=x,dst=/y,more":             `options: --mount "src=x,dst=/y,more": more is no key of --mount`,
		`--mount a\"b`:                          `options: --mount "a\"b" is not type=…,source=…,target=…`,
		"--cpu-quota x":                         `options: --cpu-quota "x" is not a whole number of at least 0`,
	} {
		t.Run(line, func(t *testing.T) {
			outside := createoptions.Outside{Files: map[string]string{"bad": "two words=secret"}}
			_, err := createoptions.Parse(line, outside)
			if err == nil || err.Error() != want {
				t.Errorf("Parse(%q) = %v, want %s", line, err, want)
			}
		})
	}
}

// TestBounds holds hostile options to their limits.
func TestBounds(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		file string
		want string
	}{
		"too long":       {"-e A=" + strings.Repeat("x", 64<<10), "", "options: 65541 bytes are more than the 65536"},
		"too many words": {strings.Repeat("-t ", 2_001), "", "options: more than the 2000 words"},
		"too many variables": {
			"--env-file f", func() string {
				var b strings.Builder
				for i := range 6_000 {
					b.WriteString("V" + strings.Repeat("i", i%100) + string(rune('a'+i/100)) + "=\n")
				}
				return b.String()
			}(), "options: 5001 variables are more than the 5000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := createoptions.Parse(test.line, createoptions.Outside{Files: map[string]string{"f": test.file}})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Parse = %v, want %s…", err, test.want)
			}
		})
	}
}
