package preflight_test

import (
	"errors"
	"strings"
	"testing"

	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
)

// flavors are those of the table.
func flavors() []string { return []string{preflight.Chainguard, preflight.Osscontainertools} }

// verdict returns what a report says of a Dockerfile, and its messages.
func verdict(t *testing.T, dockerfile, flavor string) (preflight.Verdict, string) {
	t.Helper()
	return verdictWithin(t, dockerfile, flavor, nil)
}

// verdictWithin is verdict with a build context.
func verdictWithin(t *testing.T, dockerfile, flavor string, tree *buildcontext.Tree) (preflight.Verdict, string) {
	t.Helper()
	file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	return verdictOf(t, file, dockerfile, flavor, preflight.Listed(tree))
}

// verdictOf is verdict of what was parsed.
func verdictOf(t *testing.T, file *preflight.File, dockerfile, flavor string, context *preflight.Context) (preflight.Verdict, string) {
	t.Helper()
	report, err := file.Report(flavor, context)
	if err != nil {
		bad, ok := errors.AsType[*preflight.Error](err)
		if !ok {
			t.Fatalf("Report error = %v, want a *preflight.Error", err)
		}
		return preflight.Refuse, bad.Detail()
	}
	if len(report.Warnings) > 0 {
		var text strings.Builder
		for _, w := range report.Warnings {
			text.WriteString(w.Detail("Dockerfile") + "\n")
		}
		return preflight.Warn, text.String()
	}
	bases := map[string]preflight.Base{}
	for _, image := range report.Shells {
		bases[image.Reference] = preflight.Base{}
	}
	sent, err := report.Send(bases, nil)
	if err != nil {
		t.Fatalf("Report lets pass what Send refuses: %v", err)
	}
	if got := string(sent.Files[0].Content); got != dockerfile {
		return preflight.Mend, got
	}
	return preflight.Same, ""
}

// Every row recognizes its own example, and nothing else in it is worse.
func TestTableExamples(t *testing.T) {
	names := map[string]bool{}
	for _, row := range preflight.Table() {
		t.Run(row.Name, func(t *testing.T) {
			if names[row.Name] {
				t.Error("the table has two rows of this name")
			}
			names[row.Name] = true
			if row.Message == "" || row.Advice == "" || !strings.HasSuffix(row.Advice, ".") {
				t.Errorf("message %q, advice %q", row.Message, row.Advice)
			}
			if max(row.Chainguard, row.Osscontainertools) == preflight.Same {
				t.Error("every flavor builds it as Docker does: the row says nothing")
			}
			file, context := looked(t, row.Example, row.Context)
			for _, flavor := range flavors() {
				got, text := verdictOf(t, file, row.Example, flavor, context)
				if got != row.Verdict(flavor) {
					t.Errorf("%s: Report says %s, the table %s\n%s", flavor, got, row.Verdict(flavor), text)
				}
				if got != preflight.Same && got != preflight.Mend && (!strings.Contains(text, row.Message+" (rule "+row.ID+")") || !strings.Contains(text, row.Advice)) {
					t.Errorf("%s: Report says\n%s\nwithout %q", flavor, text, row.Message)
				}
			}
			if got, _ := verdictOf(t, file, row.Example, "other", context); got != max(row.Chainguard, row.Osscontainertools) {
				t.Errorf("an unknown flavor: Report says %s", got)
			}
		})
	}
}

// What is nearly one of the rows, and builds as Docker builds it.
func TestTableNearMisses(t *testing.T) {
	for name, tt := range map[string]struct{ dockerfile, flavor string }{
		"heredoc of a command":        {"FROM a\nRUN cat <<EOF\nx\nEOF\n", preflight.Osscontainertools},
		"quoted heredoc of a command": {"FROM a\nRUN cat <<'EOF' > /a\n#!/bin/sh\nEOF\n", preflight.Osscontainertools},
		"COPY heredoc":                {"FROM a\nCOPY <<-'EOF' /a\n\tx\nEOF\n", preflight.Osscontainertools},
		"bind mount":                  {"FROM a\nRUN --mount=target=/s ls /s\n", preflight.Osscontainertools},
		"optional secret":             {"FROM a\nRUN --mount=type=secret,id=x --mount=type=ssh true\n", preflight.Chainguard},
		"network default":             {"FROM a\nRUN --network=default --security=sandbox true\n", preflight.Chainguard},
		"kaniko in a name":            {"FROM a\nRUN echo kaniko x/kaniko /kaniko-x > /opt/kaniko.txt\n", preflight.Chainguard},
		"COPY to kaniko-like":         {"FROM a\nCOPY a /kaniko2/a\nWORKDIR /home/kaniko\n", preflight.Chainguard},
		"unknown variable":            {"FROM a\nWORKDIR $HOME/kaniko\nCOPY --chmod=$MODE a $DIR/kaniko\n", preflight.Chainguard},
		"group of the same name":      {"FROM a\nUSER node:node\nRUN true\n", preflight.Chainguard},
		"user after the last RUN":     {"FROM a\nRUN true\nUSER 1000:1001\n", preflight.Chainguard},
		"added user":                  {"FROM a\nRUN adduser -D -u 1000 x\nUSER 1000\nRUN true\n", preflight.Chainguard},
		"root by number":              {"FROM a\nUSER 0\nRUN true\n", preflight.Chainguard},
		"number with a group":         {"FROM a\nUSER 4711:0\nRUN true\nWORKDIR /new/x\n", preflight.Osscontainertools},
		"its own number":              {"FROM a\nUSER 1000:1000\nRUN true\n", preflight.Osscontainertools},
		"plain labels":                {"FROM a\nARG V=v\nLABEL a=\"b c\" b='c' $V=$V x=\"$UNKNOWN/y\"\n", preflight.Osscontainertools},
		"CMD that stays":              {"FROM a AS x\nCMD [\"c\"]\nFROM x\nRUN true\n", preflight.Osscontainertools},
		"CMD of another line":         {"FROM a AS x\nCMD [\"c\"]\nFROM a\nCOPY --from=x /a /a\nENTRYPOINT [\"e\"]\n", preflight.Osscontainertools},
		"SHELL of four words":         {"FROM a\nSHELL [\"a\", \"b\", \"c\", \"d\"]\nCMD x\nENTRYPOINT y\n", preflight.Osscontainertools},
		"SHELL of the base":           {"FROM a\nCMD x\nENTRYPOINT y\n", preflight.Osscontainertools},
		"exec form and SHELL":         {"FROM a\nSHELL [\"a\", \"b\", \"c\"]\nCMD [\"x\"]\n", preflight.Osscontainertools},
		"COPY to a group":             {"FROM a\nCOPY --chown=app:app a /a\nCOPY --chown=7 a /b\n", preflight.Osscontainertools},
		"COPY --link":                 {"FROM a\nRUN mkdir /d\nCOPY --link a /usr/local/bin/\nCOPY --link a /d/a\n", preflight.Osscontainertools},
		"numbers of --chmod":          {"FROM a\nCOPY --chmod=755 . /x\nCOPY --chmod=u+x . /y\nCOPY --chmod=777 a /z\n", preflight.Osscontainertools},
		"setgid elsewhere":            {"FROM a AS x\nRUN chmod 2755 /y\nRUN chmod 0644 /z\nFROM a\nCOPY --from=x /z /z\n", preflight.Osscontainertools},
		"setuid of a named file":      {"FROM a AS x\nRUN chmod 4755 /y/z\nFROM a\nCOPY --from=x /y/z /z\n", preflight.Chainguard},
		"chown elsewhere":             {"FROM a\nWORKDIR /x\nRUN chown 1:1 /y\nCOPY . .\nCOPY . /root/\n", preflight.Osscontainertools},
		"platform of its own":         {"FROM a\nARG TARGETARCH=x\nARG TARGETPLATFORM\nRUN true\n", preflight.Osscontainertools},
		"chmod 755 makes parents":     {"FROM a\nCOPY --chmod=0755 a /new/a\n", preflight.Chainguard},
		"chmod into a usual place":    {"FROM a\nCOPY --chmod=600 a /etc/a\nCOPY --chmod=500 a /usr/local/bin/\n", preflight.Chainguard},
		"chmod into a WORKDIR":        {"FROM a\nWORKDIR /new\nCOPY --chmod=600 a .\nCOPY --chmod=600 a /new/b\n", preflight.Chainguard},
		"letters in chmod":            {"FROM a\nCOPY --chmod=u+x a /a\n", preflight.Osscontainertools},
		"context into a WORKDIR":      {"FROM a\nWORKDIR /app\nCOPY . .\nCOPY . /\n", preflight.Chainguard},
		"files by wildcard":           {"FROM a\nUSER x:x\nWORKDIR /app\nCOPY *.sh /root/\n", preflight.Chainguard},
		"file to /home":               {"FROM a\nCOPY a /home/x/a\n", preflight.Chainguard},
		"http archive":                {"FROM a\nADD --chown=1:1 https://example.com/a.tar.gz /a\n", preflight.Chainguard},
		"http file":                   {"FROM a\nADD https://example.com/a.git.txt /a\n", preflight.Chainguard},
		"local git-like file":         {"FROM a\nADD a.git /a\n", preflight.Chainguard},
		"VOLUME last":                 {"FROM a\nCOPY a /data/a\nRUN true\nVOLUME /data\n", preflight.Chainguard},
		"COPY beside a VOLUME":        {"FROM a\nVOLUME /data\nCOPY a /data2/a\n", preflight.Osscontainertools},
		"COPY below a VOLUME":         {"FROM a\nRUN mkdir /data\nVOLUME /data\nCOPY a /data/a\n", preflight.Chainguard},
		"VOLUME of a usual directory": {"FROM a\nVOLUME /var/lib\nCOPY a /a\n", preflight.Chainguard},
		"chmod into a made directory": {"FROM a\nRUN mkdir -p /new/b\nCOPY --chmod=600 a /new/b/a\n", preflight.Chainguard},
		"ports":                       {"FROM a\nARG P=80\nEXPOSE 1 2/udp $P $UNKNOWN\n", preflight.Chainguard},
		"ARG before ENV":              {"FROM a\nARG A=1\nENV A=$A\nRUN true\n", preflight.Chainguard},
		"ARG without value after ENV": {"FROM a\nENV A=1\nARG A\nRUN true\n", preflight.Chainguard},
		"ARG after ENV":               {"FROM a\nENV A=1\nARG A=2\nRUN true\n", preflight.Osscontainertools},
		"ENV after both":              {"FROM a AS x\nENV A=1\nARG A=2\nENV A=3\nFROM x\nRUN true\n", preflight.Osscontainertools},
		"ENV below an ARG":            {"FROM a AS x\nARG A=1\nENV A=2\nFROM x\nRUN true\n", preflight.Osscontainertools},
		"variables in USER":           {"FROM a\nARG A=b\nRUN true\nUSER ${A}:${A}\n", preflight.Osscontainertools},
		"declared again":              {"FROM a AS x\nARG A=1\nRUN true\nFROM a\nARG A=2\nCOPY --from=x /a /a\nRUN echo $A\n", preflight.Chainguard},
		"inherited":                   {"FROM a AS x\nARG A=1\nFROM x\nRUN echo $A\n", preflight.Chainguard},
		"set in the command":          {"FROM a AS x\nARG A=1\nFROM a\nCOPY --from=x /a /a\nRUN A=2; echo $A\n", preflight.Chainguard},
		"run time variable":           {"FROM a AS x\nARG A=1\nFROM a\nCOPY --from=x /a /a\nENTRYPOINT echo $A\n", preflight.Chainguard},
		"docker's frontend":           {"# syntax=docker/dockerfile:1.7-labs\nFROM a\n", preflight.Chainguard},
		"docker's frontend, pinned":   {"#syntax=docker.io/docker/dockerfile-upstream:master@sha256:0\nFROM a\n", preflight.Chainguard},
		"syntax in the middle":        {"FROM a\n# syntax=example.com/x\n", preflight.Chainguard},
		"escape without values":       {"# escape=`\nFROM a\nRUN echo `\n  a\\b\nENV A=b\n", preflight.Chainguard},
		"a stage that is not used":    {"FROM a AS x\nRUN --mount=type=tmpfs,target=/t true\nFROM a\n", preflight.Osscontainertools},
	} {
		t.Run(name, func(t *testing.T) {
			if got, text := verdict(t, tt.dockerfile, tt.flavor); got != preflight.Same {
				t.Errorf("Report says %s\n%s", got, text)
			}
		})
	}
}

// Further forms of the rows.
func TestTableForms(t *testing.T) {
	for _, tt := range []struct{ dockerfile, message string }{
		{"FROM a\nRUN <<EOF\n#!/usr/bin/env python3\nEOF\n", "a program of its own"},
		{"FROM a\nRUN <<-EOF\n\t#!/bin/sh\nEOF\n", "a program of its own"},
		{"FROM a\nARG T=tmpfs\nRUN --mount=type=$T,target=/x true\n", "--mount=type=tmpfs"},
		{"FROM a\nRUN --mount=type=cache,target=/c,from=b true\n", "ignores a mount from"},
		{"FROM a\nRUN --mount=type=ssh,required true\n", "docker build would fail too"},
		{"FROM a\nRUN rm -rf \"/kaniko\"\n", "belongs to the builder"},
		{"FROM a\nRUN cat <<EOF\necho > /kaniko/x\nEOF\n", "belongs to the builder"},
		{"FROM a\nARG D=/kaniko\nWORKDIR $D/x\n", "belongs to the builder"},
		{"FROM a\nWORKDIR /\nWORKDIR kaniko\n", "belongs to the builder"},
		{"FROM scratch\nCOPY --chmod=644 a etc/a\n", "makes for the target"},
		{"FROM a AS x\nARG U=nobody\nUSER $U\nFROM x\nWORKDIR /new/x\n", ""},
		{"FROM a\nADD git@github.com:acme/x.git /x\n", "clone Git"},
		{"FROM a\nADD --keep-git-dir=true https://github.com/acme/x.git#main /x\n", "clone Git"},
		{"FROM a\nVOLUME [\"/data/\"]\nWORKDIR /data/x\n", "below a VOLUME"},
		{"FROM a\nEXPOSE 80/SCTP\n", "only tcp and udp"},
		{"{\"syntax\": \"example.com/x\"}\nFROM a\n", ""},
		{"FROM a\nCOPY a C:\\\\x\\\\\n", "Windows"},
		{"FROM a AS x\nRUN <<EOF\nchmod 4755 /d/f\nEOF\nFROM a\nCOPY --from=x /d /d\n", "drops the setuid bits"},
		{"FROM a AS x\nRUN cd /d && chmod u+s f\nFROM x AS y\nFROM a\nCOPY --from=y /d* /e/\n", "drops the setuid bits"},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			if tt.message != "" {
				t.Errorf("%q: %v", tt.dockerfile, err)
			}
			continue
		}
		_, err = file.Report(preflight.Osscontainertools, nil)
		if (tt.message == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%q: error = %v, want %q", tt.dockerfile, err, tt.message)
		}
	}
}

// A stage has the ENVs of the one that it is built from, whatever ARG came over them.
func TestEnvOfParent(t *testing.T) {
	for dockerfile, builders := range map[string]bool{
		"FROM a AS x\nENV D=/kaniko\nARG D=/x\nFROM x\nCOPY f $D/f\n":                        true,
		"FROM a AS x\nENV D=/x\nARG D=/kaniko\nFROM x\nCOPY f $D/f\n":                        false,
		"FROM a AS x\nENV D=/kaniko\nARG D=/x\nARG D=/y\nFROM x AS y\nFROM y\nCOPY f $D/f\n": true,
		"FROM a AS x\nENV D=/kaniko\nARG D=/x\nFROM x\nARG D=/y\nCOPY f $D/f\n":              false,
		"FROM a AS x\nENV D=/x\nFROM x AS y\nARG D=/y\nFROM y\nCOPY f ${D#/x}/kaniko/f\n":    true,
	} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Report(preflight.Osscontainertools, nil)
		bad, ok := errors.AsType[*preflight.Error](err)
		if !ok || !strings.Contains(bad.Detail(), "(rule EnvOfParentShadowed)") {
			t.Errorf("%q: error = %v", dockerfile, err)
			continue
		}
		if got := strings.Contains(bad.Detail(), "(rule TargetKaniko)"); got != builders {
			t.Errorf("%q: the target is the builder's: %t, want %t", dockerfile, got, builders)
		}
	}
}

// All that is wrong is told at once, each with its line.
func TestCheckTellsAll(t *testing.T) {
	file, err := preflight.Parse("Dockerfile", []byte("FROM a\nCOPY --parents x /x/\nRUN true\nCOPY y /kaniko/y\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Report(preflight.Chainguard, nil)
	bad, ok := errors.AsType[*preflight.Error](err)
	if !ok || len(bad.More) != 1 {
		t.Fatalf("error = %#v", err)
	}
	const line = "Dockerfile:2: Kaniko ignores --parents: the files would all land in one directory (rule CopyParents): COPY --parents x /x/ (and 1 more)"
	if got := bad.Error(); got != line {
		t.Errorf("Error() = %q, want %q", got, line)
	}
	const detail = "Dockerfile:2: Kaniko ignores --parents: the files would all land in one directory (rule CopyParents)\n" +
		"  2 | COPY --parents x /x/\n" +
		"    | ^^^^\n" +
		"  Write one COPY for each directory.\n" +
		"Dockerfile:4: /kaniko belongs to the builder: what is written there can be missing from the image, or break the build (rule TargetKaniko)\n" +
		"  4 | COPY y /kaniko/y\n" +
		"    | ^^^^\n" +
		"  Use another directory."
	if got := bad.Detail(); got != detail {
		t.Errorf("Detail() =\n%s\nwant\n%s", got, detail)
	}
}

func TestWarnings(t *testing.T) {
	const daemon, rotten = "a Kubernetes runner has none", "likely to fail with docker build too"
	for dockerfile, want := range map[string]string{
		"FROM docker:27-cli\n": daemon,
		"FROM alpine\nCOPY --from=docker /usr/local/bin/docker /bin/\n":             daemon,
		"FROM alpine\nRUN apk add --no-cache bash docker-cli\n":                     daemon,
		"FROM debian\nRUN apt-get update && apt-get install -y docker.io\n":         daemon,
		"FROM debian\nRUN curl -fsSL https://get.docker.com | sh\n":                 daemon,
		"FROM alpine\nRUN apk add dockerize && echo docker\n":                       "",
		"FROM ghcr.io/acme/docker\n":                                                "",
		"FROM debian:stretch-slim\nRUN apt-get update\n":                            rotten,
		"FROM python:3.7-buster AS a\nFROM a\nRUN apt install x\n":                  rotten,
		"FROM node:10\nRUN apt-get update\n":                                        rotten,
		"FROM ubuntu:21.04\nRUN apt-get update\n":                                   rotten,
		"FROM centos:7\nRUN yum install x\n":                                        rotten,
		"FROM centos\nRUN yum install x\n":                                          rotten,
		"FROM debian:stretch\nCOPY a /a\n":                                          "",
		"FROM node:10-alpine\nRUN apk add x\n":                                      "",
		"FROM debian:bookworm\nRUN apt-get update\n":                                "",
		"FROM ubuntu:24.04\nRUN apt-get update\n":                                   "",
		"FROM debian:9\nRUN sed -i s/deb/archive.debian.org/ s && apt-get update\n": "",
	} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		report, err := file.Report(preflight.Osscontainertools, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, w := range report.Warnings {
			got.WriteString(w.Detail("Dockerfile"))
		}
		if (want == "") != (got.Len() == 0) || !strings.Contains(got.String(), want) {
			t.Errorf("%q: warnings %q, want %q", dockerfile, got.String(), want)
		}
	}
}
