package createoptions

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// want notes an option that needs the operator's consent.
func (p *parser) want(name, value string) {
	p.out.rights = append(p.out.rights, strings.TrimRight("--"+name+" "+value, " "))
}

func (p *parser) user(value string) error {
	name, group, hasGroup := strings.Cut(value, ":")
	if name == "" && group == "" || hasGroup && group == "" {
		return fmt.Errorf("%q is not NAME|UID[:GROUP|GID]", value)
	}
	u := &User{Name: name, Group: group}
	for _, part := range []struct {
		text string
		id   **int64
	}{{name, &u.UID}, {group, &u.GID}} {
		id, err := userID(part.text)
		if err != nil {
			return err
		}
		*part.id = id
	}
	p.out.User = u
	return nil
}

// userID returns the number that a name is, or nil for a name that only the
// image knows.
func userID(name string) (*int64, error) {
	if name == "" {
		return nil, nil
	}
	if name == "root" {
		return new(int64), nil
	}
	id, err := strconv.ParseInt(name, 10, 64)
	switch {
	case err == nil && id >= 0 && id <= math.MaxInt32:
		return &id, nil
	case err == nil || name[0] >= '0' && name[0] <= '9' && len(name) > 10:
		return nil, fmt.Errorf("%q is out of the range of user numbers", name)
	}
	return nil, nil
}

func (p *parser) privileged(value string) error {
	p.out.Privileged = value == "true"
	p.out.rights = slices.DeleteFunc(p.out.rights, func(r string) bool { return r == "--privileged" })
	if p.out.Privileged {
		p.want("privileged", "")
	}
	return nil
}

func (p *parser) capAdd(value string) error {
	name, err := capability(value)
	if err != nil {
		return err
	}
	if !dockerCapability(name) {
		p.want("cap-add", name)
	}
	p.out.CapAdd = append(p.out.CapAdd, name)
	return nil
}

func (p *parser) capDrop(value string) error {
	name, err := capability(value)
	if err != nil {
		return err
	}
	p.out.CapDrop = append(p.out.CapDrop, name)
	return nil
}

// capability gives the name that a pod has: sys_ptrace and CAP_SYS_PTRACE are
// SYS_PTRACE.
func capability(value string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(value), "CAP_")
	valid := func(r rune) bool { return r >= 'A' && r <= 'Z' || r == '_' }
	if name == "" || len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		return "", fmt.Errorf("%q is not the name of a capability", value)
	}
	return name, nil
}

// dockerCapability tells what Pod Security baseline lets a container add,
// which is what Docker gives to every container but NET_RAW.
func dockerCapability(name string) bool {
	return slices.Contains([]string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
		"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}, name)
}

// securityOpt reads KEY=VALUE and the older KEY:VALUE.
func (p *parser) securityOpt(value string) error {
	key, setting, _ := strings.Cut(value, "=")
	if !strings.Contains(value, "=") {
		key, setting, _ = strings.Cut(value, ":")
	}
	s := &p.out.Security
	switch {
	case key == "no-new-privileges" && slices.Contains([]string{"", "true", "false"}, setting):
		s.NoNewPrivileges = setting != "false"
		return nil
	case key == "seccomp" && setting == "builtin":
		s.UnconfinedSeccomp = false
		return nil
	case key == "seccomp" && setting == "unconfined":
		s.UnconfinedSeccomp = true
	case key == "apparmor" && setting == "unconfined":
		s.UnconfinedAppArmor = true
	case key == "apparmor" && setting != "":
		s.AppArmor = setting
	case key == "systempaths" && setting == "unconfined":
		s.UnmaskedPaths = true
	case key == "label":
		return p.seLinux(setting)
	default:
		return fmt.Errorf("%s: %w", value, errNoCounterpart)
	}
	p.want("security-opt", value)
	return nil
}

// seLinux reads disable and KEY:VALUE.
func (p *parser) seLinux(setting string) error {
	key, value, _ := strings.Cut(setting, ":")
	if setting == "disable" {
		key, value = "type", "spc_t"
	}
	if !slices.Contains([]string{"user", "role", "type", "level"}, key) || value == "" {
		return fmt.Errorf("label=%s: %w", setting, errNoCounterpart)
	}
	if p.out.Security.SELinux == nil {
		p.out.Security.SELinux = map[string]string{}
	}
	p.out.Security.SELinux[key] = value
	p.want("security-opt", "label="+setting)
	return nil
}

func (p *parser) device(value string) error {
	parts := strings.Split(value, ":")
	if len(parts) > 3 || !strings.HasPrefix(parts[0], "/") {
		return fmt.Errorf("%q is not HOST-PATH[:PATH][:rwm]", value)
	}
	d := Device{Host: parts[0], Container: parts[0], Permissions: "rwm"}
	for _, part := range parts[1:] {
		switch {
		case strings.HasPrefix(part, "/"):
			d.Container = part
		case part != "" && strings.Trim(part, "rwm") == "":
			d.Permissions = part
		default:
			return fmt.Errorf("%q is not HOST-PATH[:PATH][:rwm]", value)
		}
	}
	p.want("device", value)
	p.out.Devices = append(p.out.Devices, d)
	return nil
}

// gpus reads all, a count, and Docker's list of key=value.
func (p *parser) gpus(value string) error {
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return fmt.Errorf("%q is neither all nor a number", value)
	}
	count := 1
	for _, field := range fields {
		key, setting, ok := strings.Cut(field, "=")
		switch {
		case !ok:
			count, err = gpuCount(key)
		case key == "count":
			count, err = gpuCount(setting)
		case key == "device":
			count = len(strings.Split(strings.Trim(setting, `"`), ","))
		}
		if err != nil {
			return err
		}
	}
	p.out.GPUs = count
	return nil
}

func gpuCount(text string) (int, error) {
	if text == "all" || text == "-1" {
		return AllGPUs, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1024 {
		return 0, fmt.Errorf("%q is neither all nor a number", text)
	}
	return n, nil
}
