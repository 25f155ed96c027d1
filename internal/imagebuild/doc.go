// Package imagebuild makes an image, by digest, of a Dockerfile and its canonical
// context: it refuses what this Kaniko would build otherwise than Docker, asks the
// registry for what was built before, and has the rest built in a pod that all who
// want the same share.
//
// [Builder.Image] is the way from a source to a digest. Whether anything is built is
// decided in decide.go and nowhere else. There are two ways to an image then: produce
// (flight.go) has Kaniko build it in a pod, and assemble (assembly.go) puts it together
// of a base part, which is an order of its own and produced, and of what runs nothing.
// The second comes first where the settings want it. Where it is not certain to make what
// Docker makes, or something goes wrong on it, the image is produced.
//
// # The life of a build pod
//
// A life (life.go) is what one step has to do with one pod. Events go in, effects come
// out; it does no input or output, so that every race is a sequence of events.
//
//	starting  the pod's containers start
//	idle      a follower waits for the creator to send the context
//	sending   the creator sends the context
//	building  Kaniko has the context
//	cut       the context broke off; Kaniko's last words may say more
//	unsaid    Kaniko ended well; the gate's last word is to come
//	unread    a container ended; the end of Kaniko's log is to come
//	suspect   Kaniko ended badly; the gate may have cut a layer off
//	pushed    the registry has the image; the last lines of the log are to come
//	over      it is known how the build ended
//
//	starting → sending → building → pushed → over   for a creator
//	starting → idle → building → pushed → over      for a follower
//	building → pushed → over                        for an heir
//
// A creator does not wait until the pod says that Kaniko runs, which the kubelet tells a
// second late: in starting it knocks, tries to send the context, and goes on to sending
// once that was taken. What the pod says comes first where that was not. A knock may reach
// a pod that had the name before; Kaniko's log says whether something came.
//
// An heir is what an order becomes whose daemon was restarted once the pod had the whole
// context: [Begun] is what the order knows of the daemon before, and the pod's logs are
// read again from their beginning. A pod of the order's that has got no context is gone on
// with as by its creator; one whose context broke off with the daemon is removed.
//
// # Guarantees
//
// The digest of an image that was built is the one that the gate reports of the
// manifest that the registry took, never one that the build printed; that of an image
// that was found is what the registry says of the key's tag. Only who created a pod
// sends it a context. A pod goes with the last step that needs it. What only the
// infrastructure can be blamed for is tried again, three times in all; a failure of the
// build itself is not. A pod that somebody deletes costs no try within the time that a
// build has. A line of a build's log is shown once, whenever the daemon is restarted.
//
// What an image is put together of is as its key says: what a base part's pod is sent is
// what the base part's key binds. The same input gives the same image. Whoever may push to
// the repository can forge the indexes by which it is put together, as they can the images.
//
// # Not guaranteed
//
// A build does not outlive the runner pod whose daemon follows it, unless another follows
// it too. What Kaniko printed and a node has rotated away before a restart is not shown.
package imagebuild
