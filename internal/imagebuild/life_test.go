package imagebuild

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/podtest"
)

// podOf is a state of the build pod: what its containers kaniko and gate do, as run,
// end with a code, or have not started.
func podOf(states ...string) podChanged {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", UID: "1"}}
	for i, name := range []string{kaniko.ContainerKaniko, kaniko.ContainerGate} {
		state := corev1.ContainerState{}
		switch states[i] {
		case "run":
			state.Running = &corev1.ContainerStateRunning{}
		case "0":
			state.Terminated = &corev1.ContainerStateTerminated{}
		case "1":
			state.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}
		}
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: state})
	}
	return podChanged{pod}
}

// placed is a state of the pod once it has got its node.
func placed(state podChanged) podChanged {
	pod := state.pod.DeepCopy()
	pod.Spec.NodeName = "node"
	return podChanged{pod}
}

// deleted is a state of the pod after somebody has deleted it.
func deleted(state podChanged) podChanged {
	pod := state.pod.DeepCopy()
	pod.DeletionTimestamp = new(metav1.Now())
	return podChanged{pod}
}

// TestLife plays what can happen to a build pod, in the orders in which it can.
func TestLife(t *testing.T) {
	var (
		none, up   = podOf("", ""), podOf("run", "run")
		well, bad  = podOf("0", "run"), podOf("1", "run")
		gateGone   = podOf("run", "1")
		listens    = gateSaid{"listening"}
		digest     = gateSaid{"pushed sha256:1"}
		layer      = gateSaid{"unfit base:1 holds a device"}
		arrives    = kanikoSaid{begin}
		comes      = kanikoSaid{input}
		logEnds    = kanikoSaid{end}
		broken     = contextSent{errors.New("reset")}
		refusal    = contextSent{failure.New(failure.AdmissionRefused, "%w", podtest.Forbidden("create", "pods/attach").Err)}
		gone       = watchEnded{podrun.ErrGone}
		dying      = deleted(podOf("1", "run"))
		gateDying  = deleted(podOf("run", "1"))
		cause      = errors.New("cancelled")
		stop       = cancelled{cause}
		replaced   = podChanged{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", UID: "2"}}}
		underWay   = []any{none, up, listens}
		built      = []any{up, listens, arrives}
		transports = failure.ContextTransport
		knocks     = []any{placed(none), knockTime{}}
		silence    = contextSent{fmt.Errorf("attach: %w", podrun.ErrNotYet)}
		vain       = slices.Repeat([]any{knockTime{}, silence}, maxKnocks)
	)
	for name, tt := range map[string]struct {
		role   role
		events [][]any
		phase  phase
		reason failure.Reason // of the error, "" for none
		err    error          // that it is
		does   []act          // the last of the effects
	}{
		"a creator waits for the gate":              {creator, [][]any{{none, up}}, starting, "", nil, []act{followGate, followKaniko}},
		"a creator sends":                           {creator, [][]any{underWay}, sending, "", nil, []act{markWork, setDeadline, sendContext}},
		"a creator sends once Kaniko runs":          {creator, [][]any{{podOf("", "run"), listens, up}}, sending, "", nil, []act{followKaniko, markWork, setDeadline, sendContext}},
		"a creator sends once":                      {creator, [][]any{underWay, {listens, up}}, sending, "", nil, []act{markWork, setDeadline, sendContext}},
		"a creator is going to knock":               {creator, [][]any{{placed(none)}}, starting, "", nil, []act{setKnock}},
		"a creator is going to knock once":          {creator, [][]any{{placed(none), placed(none), placed(podOf("", "run"))}}, starting, "", nil, []act{followGate}},
		"a creator knocks":                          {creator, [][]any{knocks}, starting, "", nil, []act{knock}},
		"a knock is answered":                       {creator, [][]any{knocks, {contextSent{}}}, sending, "", nil, []act{markWork, setDeadline}},
		"a knock is answered, and Kaniko says so":   {creator, [][]any{knocks, {contextSent{}, placed(up), comes}}, sending, "", nil, []act{tellSent}},
		"Kaniko says so before the knock has ended": {creator, [][]any{knocks, {placed(up), comes, contextSent{}}}, sending, "", nil, []act{markWork, setDeadline, tellSent}},
		"another pod took it":                       {creator, [][]any{knocks, {contextSent{}, placed(up), graceOver{}}}, sending, "", nil, []act{sendContext}},
		"another pod took it, Kaniko gets it then":  {creator, [][]any{knocks, {contextSent{}, placed(up), graceOver{}, contextSent{}}}, sending, "", nil, []act{tellSent}},
		"Kaniko takes it, and its log goes on":      {creator, [][]any{knocks, {contextSent{}, placed(up), comes, graceOver{}}}, sending, "", nil, []act{tellSent}},
		"a large context takes its time":            {creator, [][]any{knocks, {placed(up), listens, comes, graceOver{}}}, sending, "", nil, []act{markWork, setDeadline}},
		"a knock is not answered":                   {creator, [][]any{knocks, {silence}}, starting, "", nil, []act{forgetGiven, setKnock}},
		"nothing is sent twice":                     {creator, [][]any{knocks, {contextSent{}, placed(up), listens, knockTime{}}}, sending, "", nil, []act{followGate, followKaniko, setGrace}},
		"Kaniko takes what was sent":                {creator, [][]any{knocks, {contextSent{}, placed(up), arrives}}, building, "", nil, []act{tellSent}},
		"a creator knocks in vain":                  {creator, [][]any{{placed(none)}, vain}, starting, "", nil, []act{forgetGiven}},
		"a creator sends after knocks":              {creator, [][]any{{placed(none)}, vain, {placed(up), listens}}, sending, "", nil, []act{markWork, setDeadline, sendContext}},
		"a creator does not knock when it runs":     {creator, [][]any{{placed(up), listens, knockTime{}}}, sending, "", nil, []act{markWork, setDeadline, sendContext}},
		"Kaniko runs during a knock":                {creator, [][]any{knocks, {placed(up), listens}}, sending, "", nil, []act{markWork, setDeadline}},
		"Kaniko runs, the knock was too early":      {creator, [][]any{knocks, {placed(up), listens, silence}}, sending, "", nil, []act{sendContext}},
		"Kaniko ends during a knock":                {creator, [][]any{knocks, {placed(bad)}}, unread, "", nil, []act{followGate, followKaniko, setGrace}},
		"Kaniko ends before a knock ends":           {creator, [][]any{knocks, {placed(bad), silence, logEnds, graceOver{}}}, over, failure.Internal, nil, nil},
		"a knock breaks off":                        {creator, [][]any{knocks, {broken}}, cut, "", nil, []act{setGrace}},
		"a knock breaks off for good":               {creator, [][]any{knocks, {broken, graceOver{}}}, over, transports, nil, nil},
		"a follower does not knock":                 {follower, [][]any{knocks}, starting, "", nil, nil},
		"an heir does not knock":                    {heir, [][]any{{placed(up)}}, starting, "", nil, []act{followGate, followKaniko}},
		"a follower waits":                          {follower, [][]any{underWay}, idle, "", nil, []act{setDeadline}},
		"a follower joins":                          {follower, [][]any{built}, building, "", nil, []act{markWork, setDeadline, joinOwners}},
		"a follower joins a pod that is gone":       {follower, [][]any{built, {joined{podrun.ErrGone}}}, over, "", errAgain, []act{say}},
		"a follower may not join":                   {follower, [][]any{built, {joined{cause}}}, over, "", cause, nil},
		"a follower gives the creator up":           {follower, [][]any{underWay, {late{}}}, over, "", errAgain, []act{say, removePod}},
		"a pod does not start":                      {creator, [][]any{{none, late{}}}, over, failure.Unschedulable, nil, nil},
		"a build takes too long":                    {creator, [][]any{built, {late{}}}, over, failure.Deadline, nil, nil},
		"a build is pushed":                         {creator, [][]any{built, {digest}}, pushed, "", nil, []act{markBuilt, setGrace}},
		"a build is pushed and says so":             {creator, [][]any{built, {digest, kanikoSaid{push}}}, over, "", nil, []act{closeLog}},
		"a build is pushed and its log ends":        {creator, [][]any{built, {digest, logEnds}}, over, "", nil, []act{closeLog}},
		"the last lines do not come":                {creator, [][]any{built, {digest, graceOver{}}}, over, "", nil, []act{closeLog}},
		"the pod goes after the push":               {creator, [][]any{built, {digest, gone, well, graceOver{}}}, over, "", nil, []act{closeLog}},
		"cancelled after the push":                  {creator, [][]any{built, {digest, stop}}, over, "", nil, []act{closeLog}},
		"the registry keeps another":                {creator, [][]any{built, {gateSaid{"kept"}, graceOver{}}}, over, "", nil, []act{closeLog}},
		"cancelled before the pod":                  {creator, [][]any{{stop}}, over, "", cause, nil},
		"cancelled while the context is sent":       {creator, [][]any{underWay, {stop}}, over, "", cause, nil},
		"cancelled while it is built":               {follower, [][]any{built, {stop}}, over, "", cause, nil},
		"cancelled before the verdict":              {creator, [][]any{built, {well, stop}}, over, "", cause, nil},
		"the pod goes":                              {creator, [][]any{built, {gone}}, over, "", errAgain, []act{say}},
		"another pod has the name":                  {creator, [][]any{built, {replaced}}, over, "", errAgain, []act{say}},
		"the watch ends":                            {creator, [][]any{{watchEnded{cause}}}, over, "", cause, nil},
		"Kaniko ends before the gate's word":        {creator, [][]any{built, {well}}, unsaid, "", nil, []act{setGrace}},
		"the gate's word comes after the end":       {creator, [][]any{built, {well, digest}}, pushed, "", nil, []act{markBuilt, setGrace}},
		"the gate's word does not come":             {creator, [][]any{built, {well, graceOver{}}}, unread, "", nil, []act{setGrace}},
		"nor does the end of the log":               {creator, [][]any{built, {well, graceOver{}, graceOver{}}}, over, failure.Internal, nil, nil},
		"the word comes after its time":             {creator, [][]any{built, {well, graceOver{}, digest}}, unread, "", nil, nil},
		"the gate falls silent":                     {creator, [][]any{built, {gateUnread{cause}}}, building, "", nil, []act{lookAtGate}},
		"the gate falls silent and runs":            {creator, [][]any{built, {gateUnread{cause}, gateLooked{}}}, over, "", cause, nil},
		"the gate falls silent and is over":         {creator, [][]any{built, {gateUnread{cause}, gateLooked{over: true}}}, building, "", nil, nil},
		"the gate falls silent at the end":          {creator, [][]any{built, {well, gateUnread{cause}, logEnds}}, over, "", cause, nil},
		"the gate ends first":                       {creator, [][]any{built, {gateGone, logEnds}}, over, failure.Internal, nil, nil},
		"Kaniko fails":                              {creator, [][]any{built, {bad}}, unread, "", nil, []act{setGrace}},
		"Kaniko fails, and its log ends":            {creator, [][]any{built, {bad, logEnds}}, suspect, "", nil, []act{setGrace}},
		"Kaniko fails, and nothing was cut off":     {creator, [][]any{built, {bad, logEnds, graceOver{}}}, over, failure.Internal, nil, nil},
		"Kaniko fails for a layer":                  {creator, [][]any{built, {bad, logEnds, layer}}, over, failure.UnsupportedInstruction, nil, nil},
		"a layer is cut off":                        {creator, [][]any{built, {layer}}, over, failure.UnsupportedInstruction, nil, nil},
		"a layer is cut off before the end":         {creator, [][]any{built, {bad, layer, logEnds}}, over, failure.UnsupportedInstruction, nil, nil},
		"Kaniko ends before the context":            {creator, [][]any{{none, bad}}, suspect, "", nil, []act{followGate, followKaniko, setGrace}},
		"the context is refused":                    {creator, [][]any{underWay, {refusal}}, over, failure.AdmissionRefused, nil, nil},
		"the context is refused after the end":      {creator, [][]any{underWay, {bad, refusal}}, unread, "", nil, []act{setGrace}},
		"the context breaks off":                    {creator, [][]any{underWay, {broken}}, cut, "", nil, []act{setGrace}},
		"the context breaks off for good":           {creator, [][]any{underWay, {broken, graceOver{}}}, over, transports, nil, nil},
		"the context breaks, cancelled":             {creator, [][]any{underWay, {broken, stop}}, over, "", cause, nil},
		"the context breaks for a failure":          {creator, [][]any{underWay, {broken, bad, logEnds, graceOver{}}}, over, transports, nil, nil},
		"the context breaks after the end":          {creator, [][]any{underWay, {bad, broken, logEnds, graceOver{}}}, over, transports, nil, nil},
		"the context breaks, the pod goes":          {creator, [][]any{underWay, {broken, gone}}, over, "", errAgain, []act{say}},
		"the context breaks, the pod is going":      {creator, [][]any{underWay, {broken, dying, logEnds, graceOver{}}}, over, "", errAgain, []act{say}},
		"the context breaks in a pod that goes":     {creator, [][]any{underWay, {deleted(up), broken, graceOver{}}}, over, "", errAgain, []act{say}},
		"the gate ends in a pod that goes":          {creator, [][]any{built, {gateDying, logEnds}}, over, "", errAgain, []act{say}},
		"nothing counts after the end":              {creator, [][]any{{stop, up, listens, digest, late{}, graceOver{}}}, over, "", cause, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, output := aLife(t, &strings.Builder{})
			l.role, l.inspects = tt.role, true
			var last []effect
			for _, events := range tt.events {
				for _, e := range events {
					if said, ok := e.(kanikoSaid); ok {
						output.heard[said.what] = true
					}
					if todo := l.on(e); len(todo) > 0 {
						last = todo
					}
				}
			}
			if l.phase != tt.phase || tt.err != nil && !errors.Is(l.err, tt.err) || tt.err == nil && failure.Of(l.err) != tt.reason {
				t.Errorf("phase %d, %q %v; want %d, %q %v", l.phase, failure.Of(l.err), l.err, tt.phase, tt.reason, tt.err)
			}
			var did []act
			for _, todo := range last {
				did = append(did, todo.act)
			}
			if tt.does != nil && !slices.Equal(did, tt.does) {
				t.Errorf("last did %v, want %v", did, tt.does)
			}
		})
	}
}
