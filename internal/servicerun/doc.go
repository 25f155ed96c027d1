// Package servicerun runs the services of a job, as [jobrun.Services] wants it: beside
// the job container, and in pods of their own where two would want one port
// ([kiln/internal/service]); it waits until they are ready, lets ports of the runner pod
// lead to them where the steps run in the runner container, and shows their logs.
//
// # Guarantees
//
// What is made is made by the job's own maker, so that it goes with the job. Services in
// pods of their own have addresses before the pod is made of the job container, or of all
// other services, and are told the names in other pods once those have addresses too: all
// services of a job, and the job container, find each other by name when the job begins. A service that fails its health check, or ends, fails the preparation of the
// job with its log under its name; one without a health check that ends is a warning
// with its log. All other logs are shown at the job's end, their last lines; nothing in
// a log is a command to the runner. The ports of a job outlive the daemon's worker where
// [Ports] do, and are opened again where they did not ([Runner.Resume]).
package servicerun
