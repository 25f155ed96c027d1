package main

import (
	"fmt"
	"time"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// A workload is an action whose image is built, for the first time and again after
// a change, and run.
type workload struct {
	name string
	// dockerfile gets what makes its base part one that no build has seen.
	dockerfile func(nonce string) string
	// splits is whether it has a base part that is of use after a change.
	splits bool
}

// slow is the workload whose image is also built ahead of its step. It is small: that the
// node pulls it is no part of what is wished for.
const slow = "COPY requirements.txt, RUN of 10 s, COPY . ."

// workloads are those that the targets are of. Packages come from the mirror.
func workloads(mirror string) []workload {
	return []workload{
		{name: "no RUN: FROM, COPY, ENTRYPOINT", dockerfile: func(string) string {
			return "FROM busybox:latest\nCOPY run.sh /app/run.sh\nENTRYPOINT [\"/app/run.sh\"]\n"
		}},
		{name: "debian, RUN that installs three packages, COPY of a script", splits: true, dockerfile: func(nonce string) string {
			return fmt.Sprintf(`FROM debian:bookworm-slim
RUN echo %s \
 && rm -rf /etc/apt/sources.list.d && echo 'deb [trusted=yes] http://%s ./' > /etc/apt/sources.list \
 && apt-get update && apt-get install -y %s %s %s && rm -rf /var/lib/apt/lists
COPY run.sh /app/run.sh
ENTRYPOINT ["/app/run.sh"]
`, nonce, mirror, mirrored(0), mirrored(1), mirrored(2))
		}},
		{name: slow, splits: true, dockerfile: func(string) string {
			return `FROM busybox:latest
WORKDIR /app
COPY requirements.txt .
RUN sleep 10 && cp requirements.txt /installed
COPY . .
ENTRYPOINT ["/app/run.sh"]
`
		}},
	}
}

// content is the workload's context, by name. The nonces make the base part, and what
// is put on top of it, ones that no build has seen.
func (l workload) content(base, top string) harness.Files {
	return harness.Files{
		"Dockerfile":       {Data: []byte(l.dockerfile(base))},
		"requirements.txt": {Data: []byte(base + "\n")},
		"run.sh":           {Data: []byte("#!/bin/sh\n# " + top + "\necho the action ran\n"), Mode: 0o755},
	}
}

// dir is where the runner has downloaded it.
func (l workload) dir() string { return runner.ActionDir("acme/work@v1") }

// files is the context below the work folder.
func (l workload) files(content harness.Files) harness.Files {
	files := harness.Files{}
	for name, file := range content {
		files[l.dir()+"/"+name] = file
	}
	return files
}

// step is the step that runs it.
func (l workload) step() runner.Step {
	return runner.Step{Repository: "acme/app", Dockerfile: l.dir() + "/Dockerfile"}
}

// nonce is a text that there was never before.
func nonce() string { return fmt.Sprint("n", time.Now().UnixNano()) }
