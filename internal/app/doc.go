// Package app is the sidecar: it serves the exchange from New to Stop.
//
// New opens everything and serves nothing; Run serves until its context ends
// and then takes everything down. Settings that are missing or wrong, a state
// that cannot be used, and an API server that cannot be reached, do not keep
// it from serving: every request is then answered with what is wrong, because
// a broken kiln must not keep a runner from jobs that do not need it. For the
// same reason an exchange that cannot be served ends nothing: /readyz and the
// log say why, and it is tried again until it can be.
//
// The exchange is scanned whole after every wake: events are hints, and the
// start runs the same code as every later scan. What an earlier run of the
// daemon left unfinished is found in the state, its objects are deleted and
// its step fails with one clear line.
package app
