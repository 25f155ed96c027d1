// Package podlog answers one question: what did a container print? [Follow] gives its
// log as bytes, each once and in order, from streams of an API server that break, end
// without an error, begin again a second too early and lose whole files.
//
// It guarantees:
//
//   - every byte that the node still serves is handed over once and in order,
//     however often a stream breaks;
//   - a reader that was ended goes on in another process behind the last line whose
//     [Position] it has kept;
//   - a stream that says nothing any more is let go only when another one speaks
//     in its place: what it still holds of a rotated file is nowhere else;
//   - the files that follow the one that is read are opened before they are rotated
//     away, up to two of them, when the reading is behind;
//   - where lines may be missing because their file was rotated away unread, the
//     reader is told;
//   - no stream and no watch is open after the call that opened it has returned.
//
// It does not recover a log file that the kubelet rotated away before a stream was
// opened on it: the kubelet serves the newest file alone, and `previous` of the API
// means the log of a container's earlier run, not an earlier file. A line may come
// twice where a break follows within seconds on a node's clock being set back or on a
// rotation in the middle of that line.
//
// What it needs of pods is [Source]; it knows no Kubernetes type.
package podlog
