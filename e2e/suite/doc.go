// Package suite is what an end-to-end case stands on: a namespace with kiln installed and
// a runner pod in it ([New]), which plays steps ([Fixture.Play]). Steps that many cases
// play are in package sample, what they have to come to is in package outcome, so that a
// case says no more than the step and its outcome:
//
//	func TestEcho(t *testing.T) {
//		t.Parallel()
//		f := suite.New(t, "echo", nil)
//		result := f.Play(t, sample.Ready("echo", "echo hello"), nil)
//		outcome.OwnLog(t, result, "hello\n")
//		f.WantNothingLeft(t)
//	}
//
// A case that acts while its step runs starts it ([Fixture.Start]), awaits a text of its
// log ([Playing.Await]) or a state of its pods (the fixture's Seen), acts, and waits for
// the result ([Playing.Wait]). It never sleeps.
//
// A function with a testing.T fails or ends that test; what it starts is gone when the
// test ends. The tests of one process share the images, which [Open] builds once.
package suite
