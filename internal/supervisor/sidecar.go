package supervisor

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"
)

// Sidecar supervises `kilnd worker` with its arguments, in the limits of this
// container, until the process is told to stop. Whether the arguments can be used
// is for the worker to tell.
func Sidecar(kilnd string, arguments []string, log *zap.Logger) {
	o := Defaults()
	o.Log = log.Named("supervisor")
	o.Limits = containerLimits(o.Log)
	o.Command = append([]string{kilnd, Worker}, arguments...)
	Run(o)
}

// Worker is the command of kilnd that is supervised.
const Worker = "worker"

// containerLimits keep the worker below the limit of its container.
func containerLimits(log *zap.Logger) Limits {
	container, err := memlimit.FromCgroup()
	if err != nil {
		log.Info("the worker's memory is not limited", zap.Error(err))
		return Limits{}
	}
	limits, err := LimitsOf(container)
	if err != nil {
		log.Warn("the worker's memory is not limited", zap.Error(err))
	}
	return limits
}
