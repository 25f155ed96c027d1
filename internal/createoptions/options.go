package createoptions

import (
	"net/netip"
	"time"
)

// Options is what a container's options ask of a pod. The zero value asks for
// nothing. Lists are in the author's order.
type Options struct {
	// User is --user; nil means the image's.
	User *User
	// Privileged is --privileged.
	Privileged bool
	// CapAdd and CapDrop are names as a pod has them: upper case, without
	// CAP_, and ALL.
	CapAdd, CapDrop []string
	// Security is --security-opt.
	Security Security
	// Groups is --group-add: names and numbers as written.
	Groups []string
	// Devices is --device.
	Devices []Device
	// GPUs is --gpus: a count, [AllGPUs] for all, 0 for none.
	GPUs int

	// CPUMillis is --cpus (or quota by period) in thousandths of a CPU, 0 for no limit.
	CPUMillis int64
	// Memory and MemoryReservation are in bytes, 0 for none.
	Memory, MemoryReservation int64
	// ShmSize is the size of /dev/shm in bytes, 0 where none is asked for.
	ShmSize int64
	// HostIPC is --ipc=host, by which authors mean a /dev/shm as large as the
	// machine's memory: a pod needs no rights for that.
	HostIPC bool
	// Ulimits is --ulimit, a name at most once.
	Ulimits []Ulimit
	// Sysctls are those that Kubernetes calls safe; they are a whole pod's.
	Sysctls map[string]string

	// Volumes is --volume and --mount but tmpfs, which is in Tmpfs.
	Volumes []Volume
	// Tmpfs is --tmpfs and --mount type=tmpfs.
	Tmpfs []Tmpfs
	// ReadOnly is --read-only: of the container's root file system.
	ReadOnly bool

	// Env is --env-file and, over it, --env. A variable that is named without
	// a value has the runner container's, and is missing where that has none.
	Env map[string]string
	// Entrypoint is --entrypoint: nil means the image's, a pointer to ""
	// resets it.
	Entrypoint *string
	// WorkDir is --workdir, an absolute path, or empty.
	WorkDir string
	// Init is --init, and Restart --restart.
	Init    bool
	Restart string

	// Name, Hostname and Aliases (--network-alias) are names by which others
	// on the job's network find the container.
	Name, Hostname string
	Aliases        []string
	// Hosts is --add-host.
	Hosts []Host
	// DNS, DNSSearch and DNSOptions are for the container's resolv.conf.
	DNS                   []netip.Addr
	DNSSearch, DNSOptions []string
	// Publish is --publish, as written: like an entry of ports:.
	Publish []string

	// Health is the health check.
	Health Health

	// Pull is --pull: always, missing, never, or empty.
	Pull string
	// Arch is the architecture of --platform, such as amd64; empty means any.
	Arch string

	// Warning names, in one line, the options that only tune and have no
	// effect here; empty where there is none.
	Warning string

	rights []string
}

// AllGPUs is --gpus all.
const AllGPUs = -1

// User is --user: NAME|UID[:GROUP|GID].
type User struct {
	// Name and Group are as written; Group is empty where none was.
	Name, Group string
	// UID and GID are set where Name and Group are numbers, or root.
	UID, GID *int64
}

// Security is --security-opt.
type Security struct {
	// NoNewPrivileges forbids setuid programs.
	NoNewPrivileges bool
	// UnconfinedSeccomp, UnconfinedAppArmor and UnmaskedPaths are
	// seccomp=unconfined, apparmor=unconfined and systempaths=unconfined.
	UnconfinedSeccomp, UnconfinedAppArmor, UnmaskedPaths bool
	// AppArmor is the name of a profile of the node.
	AppArmor string
	// SELinux is label=KEY:VALUE, with the keys user, role, type and level.
	SELinux map[string]string
}

// Device is --device: paths on the node and in the container, and of r, w, m.
type Device struct {
	Host, Container, Permissions string
}

// Ulimit is --ulimit: -1 is unlimited.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Volume is a mount that is no tmpfs. Source is a host path (it begins with a
// slash), the name of a volume, or empty for one that nobody else has.
type Volume struct {
	Source, Target string
	ReadOnly       bool
}

// Tmpfs is memory at a path. Bytes is 0 for no limit.
type Tmpfs struct {
	Path  string
	Bytes int64
}

// Host is an entry for /etc/hosts.
type Host struct {
	Name string
	IP   netip.Addr
}

// Health is a health check as Docker has it. Zero values are the image's, or
// Docker's defaults.
type Health struct {
	// Disabled is --no-healthcheck: also the image's is none.
	Disabled bool
	// Command is --health-cmd, for a shell; empty means the image's.
	Command string
	// Interval, Timeout, StartPeriod and StartInterval are at least a
	// millisecond, or 0.
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	// Retries is how many failures in a row make a container unhealthy, or 0.
	Retries int
}

// Rights returns the options, as written, that want more than Pod Security
// baseline gives: --privileged, capabilities that Docker does not give by
// default, profiles lifted, devices. Whether a job may have them is the
// operator's to decide.
func (o Options) Rights() []string { return o.rights }
