// Package label has the labels of the objects that kiln makes: by which request, for
// what, and of which job.
//
// Those of the request and the role are kiln's own. Those that name a job come from
// workflow code, for people to read: nothing selects by them, and nothing may be
// allowed for them. No label is one by which others delete what is a runner's.
package label

import "kiln/internal/hook"

// Labels of every object that kiln makes, and an annotation.
const (
	// Request is the id of the request that the object was made for.
	Request = "kiln.build/request"
	// Role is what the object is for.
	Role = "kiln.build/role"
	// Runner names the runner pod that made a build pod. It is no label but an
	// annotation: what deletes pods of a runner by label must not find it.
	Runner = "kiln.build/runner"
)

// Roles of the objects that kiln makes.
const (
	RoleBuild  = "build"
	RoleAction = "action"
	RoleJob    = "job"   // the pod of a whole job, and what goes with it
	RoleOwner  = "owner" // of what a build from a shell makes
)

// Of returns the labels of an object with a role, made for the request id in a step
// with that environment.
func Of(env hook.Environment, id, role string) map[string]string {
	labels := provenance(env)
	labels[Request], labels[Role] = id, role
	return labels
}
