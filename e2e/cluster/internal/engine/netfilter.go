package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"kiln/e2e/cluster/internal/command"
)

const forwardFile = "/proc/sys/net/ipv4/ip_forward"

// beforeFile notes what the machine was like. It is there from before an
// engine starts until after everything of it has been removed.
const beforeFile = "before.json"

// before is what the engine changes in the machine's network, as it was when
// the engine was started.
type before struct {
	// Rules is the output of iptables-save.
	Rules string `json:"rules"`
	// Forward is the content of /proc/sys/net/ipv4/ip_forward.
	Forward string `json:"forward"`
}

// saveBefore notes the state of the machine's network, in which no engine of
// ours is.
func (o Own) saveBefore(ctx context.Context) error {
	rules, err := command.Output(ctx, "iptables-save")
	if err != nil {
		return fmt.Errorf("save packet filter: %w", err)
	}
	forward, err := os.ReadFile(forwardFile)
	if err != nil {
		return fmt.Errorf("save network settings: %w", err)
	}
	raw, err := json.Marshal(before{Rules: rules, Forward: strings.TrimSpace(string(forward))})
	if err != nil {
		return fmt.Errorf("save network settings: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o711); err != nil {
		return fmt.Errorf("create engine directory: %w", err)
	}
	tmp := o.path(beforeFile) + ".tmp"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("save network settings: %w", err)
	}
	return os.Rename(tmp, o.path(beforeFile))
}

// restore takes the engine's rules and chains out of the packet filter and
// resets forwarding.
func (o Own) restore(ctx context.Context) error {
	raw, err := os.ReadFile(o.path(beforeFile))
	if err != nil {
		return fmt.Errorf("read network settings: %w", err)
	}
	var was before
	if err := json.Unmarshal(raw, &was); err != nil {
		return fmt.Errorf("read network settings: %w", err)
	}
	now, err := command.Output(ctx, "iptables-save")
	if err != nil {
		return fmt.Errorf("read packet filter: %w", err)
	}
	for _, args := range Undo(was.Rules, now) {
		if err := command.Run(ctx, command.Options{}, "iptables", args...); err != nil {
			return err
		}
	}
	if err := os.WriteFile(forwardFile, []byte(was.Forward+"\n"), 0o644); err != nil {
		return fmt.Errorf("reset forwarding: %w", err)
	}
	return os.Remove(o.path(beforeFile))
}

// Undo compares two outputs of iptables-save and returns the iptables calls
// that remove what a Docker engine with this package's addresses added
// between them: its rules, then its chains, then the policy that it set on
// FORWARD. Rules and chains of others stay, also new ones.
func Undo(was, now string) [][]string {
	old, current := parseRules(was), parseRules(now)
	var rules, flushes, chains, policies [][]string
	for _, chain := range current.chains {
		switch {
		case !old.has(chain) && strings.HasPrefix(chain.name, "DOCKER"):
			flushes = append(flushes, []string{"-t", chain.table, "-F", chain.name})
			chains = append(chains, []string{"-t", chain.table, "-X", chain.name})
		case chain.name == "FORWARD" && chain.policy == "DROP" && old.policy(chain) != "DROP":
			policies = append(policies, []string{"-t", chain.table, "-P", chain.name, "ACCEPT"})
		}
	}
	for _, rule := range current.rules {
		if slices.ContainsFunc(old.rules, rule.equal) || strings.HasPrefix(rule.args[1], "DOCKER") {
			continue
		}
		if dockers(rule.args) {
			rules = append(rules, slices.Concat([]string{"-t", rule.table, "-D"}, rule.args[1:]))
		}
	}
	return slices.Concat(rules, flushes, chains, policies)
}

// dockers says whether a rule is the engine's: it jumps to one of its chains,
// or names its bridges or its addresses.
func dockers(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		if strings.HasPrefix(arg, "DOCKER") || strings.HasPrefix(arg, "br-") {
			return true
		}
		prefix, err := netip.ParsePrefix(arg)
		if err != nil {
			return false
		}
		return prefix.Bits() > 0 && netip.MustParsePrefix(poolBase).Overlaps(prefix)
	})
}

type chain struct{ table, name, policy string }

type rule struct {
	table string
	args  []string // "-A", chain, ...
}

func (r rule) equal(other rule) bool {
	return r.table == other.table && slices.Equal(r.args, other.args)
}

type ruleset struct {
	chains []chain
	rules  []rule
}

func (s ruleset) has(c chain) bool {
	return slices.ContainsFunc(s.chains, func(o chain) bool { return o.table == c.table && o.name == c.name })
}

func (s ruleset) policy(c chain) string {
	for _, o := range s.chains {
		if o.table == c.table && o.name == c.name {
			return o.policy
		}
	}
	return ""
}

// parseRules reads the format of iptables-save(8): "*table", ":CHAIN POLICY",
// "-A CHAIN …".
func parseRules(text string) ruleset {
	var set ruleset
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		fields := splitQuoted(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":") && len(fields) > 1:
			set.chains = append(set.chains, chain{table, fields[0][1:], fields[1]})
		case strings.HasPrefix(line, "-A ") && len(fields) > 1:
			set.rules = append(set.rules, rule{table, fields})
		}
	}
	return set
}

// splitQuoted splits at spaces outside double quotes, with backslash escapes
// inside them, which is all that iptables-save writes.
func splitQuoted(line string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped := false, false
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteRune(c)
		}
	}
	return append(words, word.String())
}
