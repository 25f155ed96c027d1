package kaniko

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kiln/internal/preflight"
)

// Progress turns the executor's log into what the build's author reads:
// numbered steps in the form of BuildKit's plain progress, with the output of
// RUN steps below them.
//
//	#3 [build 2/3] RUN make
//	#3 0.41 cc -c main.c
//	#3 DONE 1.2s
//
// Times are those that lines are given with. The executor and its RUN steps write to
// one pipe (package buildinit), so what stands between the start of a RUN's
// process and the executor's next word is that RUN's. What comes later and is not
// the executor's is the RUN's too: a process of it that was left.
//
// What a RUN step prints can look like the executor's own words and then make
// steps that do not exist; it can hide nothing that another step prints. Every line that is returned is one line,
// begins with "#" and a digit where a step is under way, and has no limit of
// length but that of the line it shows.
//
// It is for one goroutine.
type Progress struct {
	plan   plan
	texts  texts
	beside bool // heredocs are copied from beside the context
	steps  int  // begun so far
	step   progressStep
	seen   map[string]bool // images whose metadata were loaded
	run    progressStep    // the RUN whose process ran last
	output bool            // that process is running
}

// progressStep is one step; the zero value is none.
type progressStep struct {
	number int
	title  string
	began  time.Time
	timed  bool // its end is shown
}

// prefix names the step at the start of a line.
func (s progressStep) prefix() string {
	if s.number == 0 {
		return ""
	}
	return fmt.Sprintf("#%d ", s.number)
}

// output is a line that the step prints.
func (s progressStep) output(text string, at time.Time) string {
	if s.number == 0 {
		return text
	}
	return fmt.Sprintf("%s%.2f %s", s.prefix(), max(0, at.Sub(s.began).Seconds()), text)
}

// NewProgress returns the progress of building stages, which give the steps their
// places. Without any these are not known.
func NewProgress(stages []preflight.Stage) *Progress {
	p := &Progress{plan: newPlan(stages), texts: newTexts(stages), seen: map[string]bool{}}
	for sent := range p.texts {
		p.beside = p.beside || preflight.CopiesHeredoc(sent)
	}
	return p
}

// Line reads one line, without its end, that was printed at the time now, and
// returns what the author is to see for it.
func (p *Progress) Line(line string, now time.Time) []string {
	if own, ok := parseRecord(line); ok {
		return p.own(own, line, now)
	}
	return p.text(line, now)
}

// Now returns what is being done and since when, "" when nothing is.
func (p *Progress) Now() (title string, since time.Time) {
	return p.step.title, p.step.began
}

// Steps is how many steps were begun.
func (p *Progress) Steps() int { return p.steps }

// InstructionLine returns the line in the Dockerfile of the instruction that
// was begun last, or 0 where it stands in none that is known.
func (p *Progress) InstructionLine() int { return p.plan.line }

// Done ends the step under way and returns what is to be shown for it.
func (p *Progress) Done(now time.Time) []string {
	ended := p.step
	p.output = false
	p.step = progressStep{}
	if !ended.timed {
		return nil
	}
	return []string{fmt.Sprintf("%sDONE %.1fs", ended.prefix(), now.Sub(ended.began).Seconds())}
}

// begin ends the step under way and begins another one.
func (p *Progress) begin(position, title string, timed bool, now time.Time) []string {
	shown := p.Done(now)
	title = shorten(title)
	p.steps++
	p.step = progressStep{number: p.steps, title: title, began: now, timed: timed}
	return append(shown, p.step.prefix()+position+title)
}

// What the executor says of its own work. chatter is what its steps consist
// of, which tells an author nothing.
var (
	metadataPattern = regexp.MustCompile(`^Retrieving image manifest (\S+)$`)
	stagePattern    = regexp.MustCompile(`^Building stage '(.*)' \[idx: '(\d+)', base-idx: '-?\d+'\]$`)
	pushPattern     = regexp.MustCompile(`^Pushing image to (\S+)$`)
	pushedPattern   = regexp.MustCompile(`^(Pushed|Immutable tag error ignored for) \S+$`)
	runningPattern  = regexp.MustCompile(`^Running: \[`)
	chatter         = regexp.MustCompile(`^(Adding (exposed port|remote URL|volume) |Applying label |Args: |Base image from previous stage |` +
		`Built cross stage deps: |Changed working directory to |Cmd: |Creating directory |Deleting filesystem|Executing \d+ build triggers$|` +
		`Failed to retrieve image \S+ from remapped registry |Initializing snapshotter|No base image, nothing to extract|No files (were )?changed|` +
		`Replacing StopSignal |Resolved base name |Resolving srcs |Retrieving image |Returning cached image manifest$|Saving file |` +
		`Skipping unpacking|Storing source image |Taking snapshot of |To simulate EOF and exit, press |Unpacking (local tar archive|rootfs) |` +
		`Using (dockerignore file|files from context): )`)
)

// Bounds on the images whose metadata are told: a RUN can make up as many as it
// likes, with names as long as it likes.
const (
	maxImages    = 1000
	maxImageName = 256 // bytes that are remembered
)

// uncounted is what the executor says of files that lie outside of the context,
// and copies them all the same (IsSrcsValid in pkg/util/command_util.go).
const uncounted = "No files to copy"

// first reports whether an image is named for the first time. Two names that
// begin alike for longer than what is remembered are one.
func (p *Progress) first(image string) bool {
	image = image[:min(len(image), maxImageName)]
	if p.seen[image] || len(p.seen) >= maxImages {
		return false
	}
	p.seen[strings.Clone(image)] = true
	return true
}

// timed reports whether the end of an instruction that the executor names is shown:
// it makes a layer.
func timed(instruction string) bool {
	switch strings.ToUpper(strings.Fields(instruction)[0]) {
	case "ADD", "COPY", "RUN", "WORKDIR":
		return true
	}
	return false
}

// own shows a line that has the form of the executor's own ones. While a RUN
// runs, what the executor never says is what the RUN prints: many programs
// log in the same form.
func (p *Progress) own(r record, line string, now time.Time) []string {
	if found := metadataPattern.FindStringSubmatch(r.Msg); found != nil && p.first(found[1]) {
		return p.begin("", "load metadata for "+Translate(found[1]), true, now)
	}
	if found := stagePattern.FindStringSubmatch(r.Msg); found != nil {
		return p.stage(found[1], found[2], now)
	}
	if found := pushPattern.FindStringSubmatch(r.Msg); found != nil {
		return p.begin("", "pushing "+Translate(found[1]), true, now)
	}
	switch {
	case isInstruction(r.Msg):
		return p.begin(p.plan.instruction(r.Msg), p.texts.of(r.Msg), timed(r.Msg), now)
	case pushedPattern.MatchString(r.Msg):
		return p.Done(now)
	case runningPattern.MatchString(r.Msg):
		p.run, p.output = p.step, true
		return nil
	case chatter.MatchString(r.Msg):
		p.output = false
		return nil
	case p.output:
		return p.text(line, now)
	case p.beside && r.Msg == uncounted:
		return nil
	case r.Level == "warning" || r.Level == "error" || r.Level == "fatal":
		return []string{p.step.prefix() + r.Level + ": " + printable(Translate(r.Msg))}
	}
	return []string{p.step.output(printable(Translate(r.Msg)), now)}
}

// known reports whether the executor is known to say msg.
func known(msg string) bool {
	for _, pattern := range []*regexp.Regexp{metadataPattern, stagePattern, pushPattern, pushedPattern, runningPattern, chatter} {
		if pattern.MatchString(msg) {
			return true
		}
	}
	return isInstruction(msg)
}

// stage begins a stage with its FROM; the empty image is nothing to wait for.
func (p *Progress) stage(base, index string, now time.Time) []string {
	number, err := strconv.Atoi(index)
	if err != nil {
		number = -1
	}
	position := p.plan.stage(number)
	if base == "scratch" {
		return p.Done(now)
	}
	return p.begin(position, "FROM "+Translate(base), true, now)
}

// errorPattern is the line with which the executor gives up, cannotLoad one of
// its reasons.
var (
	errorPattern = regexp.MustCompile(`^error (?:building|pushing) image: ` +
		`(?:error building stage: )?(?:failed to execute command: )?(?:waiting for process to exit: )?(.*)$`)
	cannotLoad = regexp.MustCompile(`^image not found on any configured mapped registries for (\S+)$`)
)

// errorText is the executor's reason in the words of the Dockerfile.
func errorText(text string) string {
	if found := cannotLoad.FindStringSubmatch(text); found != nil {
		return "cannot load " + found[1]
	}
	if found := missingSource.FindStringSubmatch(text); found != nil {
		return "/" + found[2] + ": not found"
	}
	return Translate(text)
}

// text shows a line that is not the executor's own, or its last one. Before
// the first step it is nobody's output.
func (p *Progress) text(line string, now time.Time) []string {
	if found := errorPattern.FindStringSubmatch(line); found != nil {
		p.step.timed = false
		return []string{p.step.prefix() + "ERROR: " + printable(errorText(found[1]))}
	}
	line = overwritten(line)
	switch {
	case p.steps == 0:
		return []string{Translate(line)}
	case p.run.number > 0:
		return []string{p.run.output(line, now)}
	}
	return []string{p.step.output(line, now)}
}

// overwritten returns what a terminal still shows of a line whose parts
// overwrite each other, as progress bars do. The runner would end a line at
// each carriage return.
func overwritten(line string) string {
	line = strings.TrimRight(line, "\r")
	return line[strings.LastIndexByte(line, '\r')+1:]
}

// shorten makes an instruction fit a line that is read at a glance.
func shorten(text string) string {
	const most = 120
	text = printable(text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return strings.Clone(text) // not what it was cut from
}

// printable makes text one line without control characters.
func printable(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}
