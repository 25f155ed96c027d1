// Package jobdir makes and keeps a job's own directory on the work volume, which
// runner container, job container and container actions share: kiln-hook makes
// it with the runner's rights when a job begins ([Make]) and removes it when it
// ends ([Sweep]).
//
// In it are the agent, a static program that the job container starts as its
// process ([Dir.PutAgent]), the socket at which it then listens ([Dir.Door]), and
// the job container's /__e ([Dir.Bring]): of the runner's externals only what a
// step asks for.
//
// What is written appears whole or not at all, under its name by rename. No path
// leads out of the work volume, whatever links others have made there meanwhile:
// a job container may be root's and can change all of it. It can replace the
// agent and the programs in there as it can the runner's own scripts, and gains
// what the job has anyway.
package jobdir
