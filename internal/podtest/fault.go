package podtest

import (
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Call is one request of a client.
type Call struct {
	// Op is the verb and the resource, as a Role has them: "create pods", "get pods",
	// "list pods", "watch pods", "get pods/log", "patch pods", "delete pods", "create
	// jobs". A dry run is "try pods", and what goes to standard input "attach pods".
	Op string
	// Name is the object's; of a list or watch it is the value that is selected by.
	Name string
	// Count is how many calls with this Op the client has made, this one included.
	Count int
}

// Fault is what becomes of a call. The zero value lets it pass.
type Fault struct {
	// Err is the answer: what the API server says where it is an error of that (an
	// [apierrors.APIStatus]), else what breaks the connection.
	Err error
	// Silent lets the client wait until it gives up by itself, for a minute at most: so
	// long an API server takes for a request (--request-timeout).
	Silent bool
	// Happened has the request carried out before it fails. Without it the cluster
	// never hears of it. What is read has no effect either way.
	Happened bool
	// Cut breaks the answer off after so many bytes, and input that is sent to a
	// container; 0 does not.
	Cut int64
}

// Faults says what becomes of each call of a client. It is called in the goroutine of
// the call, by several at once, may wait, and may change the cluster.
type Faults func(Call) Fault

// fails reports whether the call does not end as it should.
func (f Fault) fails() bool { return f.Err != nil || f.Silent }

// ErrBroken is a connection that breaks.
var ErrBroken = errors.New("connection reset by peer")

// Lost is a call that the cluster never gets.
func Lost() Fault { return Fault{Err: ErrBroken} }

// Unanswered is a call that is carried out, and whose answer does not arrive.
func Unanswered() Fault { return Fault{Err: ErrBroken, Happened: true} }

// TimedOut is a call that the cluster never gets and whose client has to give up.
func TimedOut() Fault { return Fault{Silent: true} }

// Forbidden is what the API server says to a client that has not the right to do it.
func Forbidden(verb, resource string) Fault {
	why := errors.New(`User "system:serviceaccount:ci:kiln" cannot ` + verb + ` resource "` + resource + `" in API group "" in the namespace "ci"`)
	return Fault{Err: apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", why)}
}

// Failing is what an API server says that does not work, with or without having done
// what was asked.
func Failing(happened bool) Fault {
	return Fault{Err: apierrors.NewInternalError(errors.New("etcdserver: request timed out")), Happened: happened}
}

// Kinds are the faults that any request can meet, by what a test calls them.
func Kinds() map[string]Fault {
	return map[string]Fault{
		"forbidden":           Forbidden("verb", "resource"),
		"lost":                Lost(),
		"done, not answered":  Unanswered(),
		"timed out":           TimedOut(),
		"done, but timed out": {Silent: true, Happened: true},
		"failed":              Failing(false),
		"done, but failed":    Failing(true),
	}
}

// Once makes a fault of the first call with that Op.
func Once(op string, fault Fault) Faults {
	return func(call Call) Fault {
		if call.Op == op && call.Count == 1 {
			return fault
		}
		return Fault{}
	}
}

// Always makes a fault of all calls with that Op.
func Always(op string, fault Fault) Faults {
	return func(call Call) Fault {
		if call.Op == op {
			return fault
		}
		return Fault{}
	}
}

// patience is how long a call is silent.
const patience = time.Minute
