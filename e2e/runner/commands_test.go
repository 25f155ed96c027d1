package runner_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/runner"
)

func TestCommands(t *testing.T) {
	tests := []struct {
		name string
		log  string
		want []runner.Command
	}{
		{"plain text", "hello :: there\n:: not a command ::\n", nil},
		{"colons", "::error file=a.go,line=1::broken\r\n", []runner.Command{{Name: "error", Properties: "file=a.go,line=1", Data: "broken"}}},
		{"leading space", "  ::group::x\n", []runner.Command{{Name: "group", Data: "x"}}},
		{"brackets anywhere", "text ##[warning]careful\n", []runner.Command{{Name: "warning", Data: "careful"}}},
		{"unknown name", "::nonsense::x\n", nil},
		{
			"stopped",
			"::stop-commands::token-1\n::set-env name=A::b\n##[add-path]/x\n::token-1::\n::notice::on\n",
			[]runner.Command{{Name: "notice", Data: "on"}},
		},
		{"a lone carriage return ends a line", "10 %\r::notice::x\n", []runner.Command{{Name: "notice", Data: "x"}}},
		{"never resumed", "::stop-commands::token-1\n::token-2::\n::error::x\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, runner.Commands(tt.log)); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}
