//go:build e2e

package e2e_test

import (
	"os"
	"strings"
	"testing"
)

// longCases are the cases that make e2e-long runs, and that make e2e leaves out
// unless -run names tests: variants whose kind has another case, whose risk a
// unit test has, or whose image the parity corpus builds. They are patterns of
// go test's -skip.
func longCases() []string {
	return []string{
		// Each phase is cancelled with SIGINT; TestCancel has the other signals.
		`TestCancelPhases/runners/.*/phases/.*_(TERM|KILL)`,
		`TestConformance/cases/arguments/(arguments|entry_point)`,
		`TestConformance/cases/exit_codes/(1|126|143|255)$`,
		`TestConformance/cases/odd_quoting/(an_open_single_quote|an_item_that_ends_in_a_backslash)`,
		`TestConformance/cases/stock_scenarios/(CI_and_GITHUB_ACTIONS|NODE_ENV|exit_code_0)`,
		`TestConformance/cases/users/(numbers|a_group_alone)`,
		`TestContexts/cases/(ignore_file_of_a_Dockerfile|links_and_names)`,
		`TestDisruptions/cases/(context_cut_off|deleted|evicted_every_time)`,
		`TestDoctor/(account_of_old|nodes_elsewhere|nowhere|opaque_secret)`,
		`TestFailures/runners/small/cases/over_the_storage_limit`,
		`TestHeredocs`,
		// internal/gate.TestImmutableTags and the builds' own tests have it between them.
		`TestKeptImage`,
		`TestOddBase`,
		`TestOtherWorkFolder`,
		`TestPlacement/anywhere`,
		`TestReuse/(never|random_tags)`,
		`TestRunRights/(chroot|device|ended_by_KILL|standard_output|zombie)`,
		`TestSidecar/runners/(exchange_is_no_directory|litter|lock_of_another|malformed_quantity)`,
		`TestSidecar/runners/(no_memory|no_registry_host|ports_are_taken|unknown_value)`,
		`TestOutage`,
		`TestStagesBuildOnce`,
		`TestSteps/cases/(20_MB_of_log|Dockerfile_in_a_directory|Dockerfile_with_another_name)`,
		`TestTwoAtOnce`,
	}
}

// isLong reports whether the run is that of make e2e-long.
func isLong() bool { return os.Getenv("KILN_E2E_LONG") != "" }

// skipped is the pattern of what this run leaves out.
func skipped(named bool) string {
	if named || isLong() {
		return ""
	}
	return strings.Join(longCases(), "|")
}

// long skips the test unless make e2e-long runs it, with KILN_E2E_LONG: what
// waits for a minute or more is not for every change.
func long(t *testing.T) {
	t.Helper()
	if !isLong() {
		t.Skip("takes long: make e2e-long")
	}
}
