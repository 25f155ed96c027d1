package servicerun

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kiln/internal/createoptions"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/jobrun"
	"kiln/internal/podoptions"
	"kiln/internal/registry"
	"kiln/internal/service"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// begun are the services of a job on their way. They belong to one goroutine.
type begun struct {
	runner *Runner
	of     jobrun.Beginning
	list   []*planned
	record spool.ServicesRecord
}

// planned is one service of a job, and what it is in the cluster.
type planned struct {
	service.Service
	service.Named

	// alone is whether it has a pod of its own, and told whether that one is to be told
	// the names of services in other pods.
	alone    bool
	told     bool
	check    *service.Check
	mappings []service.Mapping
	parts    job.Services // of its pod
	// pod is the name of its pod, and ip that one's address once it is known.
	pod, ip string
}

// plan says what the services of the job are. data is what their Secret holds.
func (b *begun) plan(ctx context.Context) (data map[string][]byte, err error) {
	list, err := b.services()
	if err != nil {
		return nil, err
	}
	b.readImages(ctx, list)
	named, warnings := service.Names(list, job.ContainerName, job.InstallName, service.HostsContainer)
	for _, warning := range warnings {
		b.warn("%s", warning)
	}
	alone, err := service.Alone(list, b.of.Beside, b.taken()...)
	if err != nil {
		return nil, err
	}
	data = map[string][]byte{}
	for i, s := range list {
		made := &planned{Service: s, Named: named[i], alone: alone[i], check: s.Check(), pod: b.of.Spec.Name}
		if alone[i] || !b.of.Beside {
			made.pod = b.shared()
		}
		if alone[i] {
			made.pod = fmt.Sprintf("%s-s%d", b.of.Spec.Name, i)
		}
		if err := b.build(ctx, data, made, i); err != nil {
			return nil, failure.New(failure.Of(err), "the service %s: %w", made.Title, err)
		}
		b.list = append(b.list, made)
	}
	return data, b.checkVolumes()
}

// taken are the ports that the job container says it listens at.
func (b *begun) taken() []service.Port {
	if !b.of.Beside {
		return nil
	}
	own := service.Service{Container: b.of.Spec.Container.Container, Options: b.of.Spec.Options}
	mappings, _ := own.Mappings() // what is malformed nothing listens at
	var ports []service.Port
	for _, m := range mappings {
		ports = append(ports, m.Port)
	}
	return ports
}

// shared is the name of the pod of services in a job without a container.
func (b *begun) shared() string { return b.of.Spec.Name + "-s" }

// secret is the name of the Secret with the services' variables.
func (b *begun) secret() string { return b.of.Spec.Name + "-services" }

// services are those that the runner asks for, with their options read.
func (b *begun) services() ([]service.Service, error) {
	names := b.of.Shim.Services
	if len(names) != len(b.of.Services) {
		names = make([]string, len(b.of.Services))
	}
	var list []service.Service
	for i, asked := range b.of.Services {
		options, err := b.options(asked.Container)
		if err != nil {
			return nil, failure.New(failure.BadRequest, "the service %s: %w", orImage(names[i], asked.Container), err)
		}
		list = append(list, service.Service{ID: names[i], Container: asked.Container, Options: options})
	}
	return list, nil
}

// orImage is the name of a service, or its image where there is none.
func orImage(name string, container hook.Container) string {
	if name == "" {
		return container.Image
	}
	return name
}

// options reads those of a container, and tells what has no effect.
func (b *begun) options(container hook.Container) (createoptions.Options, error) {
	options, err := createoptions.Parse(container.CreateOptions, createoptions.Outside{Files: b.of.Shim.Files, Env: b.of.Shim.Env})
	if err != nil {
		return options, failure.New(failure.BadRequest, "%w", err)
	}
	if options.Warning != "" {
		b.warn("%s", options.Warning)
	}
	return options, nil
}

// readImages asks what the images of services expose, and for their health checks. A
// service goes without.
func (b *begun) readImages(ctx context.Context, list []service.Service) {
	client := b.runner.options.Registry
	if client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, jobrun.ImageTime)
	defer cancel()
	var group sync.WaitGroup
	errs := make([]error, len(list))
	for i := range list {
		group.Go(func() {
			image, err := client.Serving(ctx, list[i].Container.Image, b.of.Spec.Arch, jobrun.Login(b.of.Services[i].Registry))
			if errs[i] = err; err == nil {
				list[i].Image = imageOf(image)
			}
		})
	}
	group.Wait()
	b.tellUnknown(list, errs)
}

// tellUnknown says in one line which images told nothing, and why the first did not.
func (b *begun) tellUnknown(list []service.Service, errs []error) {
	var images []string
	for i, err := range errs {
		if err != nil {
			images = append(images, list[i].Container.Image)
		}
	}
	if len(images) > 0 {
		b.of.Call.Log.Debug("what these images say of their services is not known: %s: %v", steplog.OneLine(strings.Join(images, ", ")), cmp.Or(errs...))
	}
}

// imageOf is what an image says, in the terms of services.
func imageOf(serving registry.Serving) *service.Image {
	image := &service.Image{Ports: service.ImagePorts(serving.Exposed), Variables: serving.Variables, Shell: serving.Shell}
	if h := serving.Health; h != nil {
		image.Health = &service.ImageHealth{
			Test: h.Test, Interval: h.Interval, Timeout: h.Timeout,
			StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries,
		}
	}
	return image
}

// build makes the container of a service, and adds to data what the Secret holds for
// it.
func (b *begun) build(ctx context.Context, data map[string][]byte, s *planned, index int) error {
	env := s.Environment(fmt.Sprintf("S%02d", index))
	values, err := env.Data()
	if err != nil {
		return err
	}
	maps.Copy(data, values)
	container, options, err := s.Of(podoptions.Place{
		Name: s.Named.Container, Work: b.of.Spec.WorkMount, Arch: b.of.Spec.Arch, Policy: b.runner.options.Policy,
		Numbers: b.numbers(ctx, b.of.Services[index]),
	}, env, b.secret())
	if err != nil {
		return err
	}
	if s.mappings, err = s.Mappings(); err != nil {
		return err
	}
	if skipped := env.Skipped(); len(skipped) > 0 {
		b.warn("the service %s: these environment variables have names that Kubernetes refuses and are not set: %s", s.Title, strings.Join(skipped, ", "))
	}
	b.warnOptions(s)
	s.parts = job.Services{Containers: []corev1.Container{container}, Volumes: options.Volumes, Pods: []podoptions.Pod{options.Pod}}
	return nil
}

// warnOptions tells of what the options of a service ask for and no service has.
func (b *begun) warnOptions(s *planned) {
	if len(s.Options.Ulimits) > 0 {
		b.warn("the service %s: options: --ulimit: no effect on a service on Kubernetes", s.Title)
	}
	if s.Options.Init {
		b.warn("the service %s: options: --init: no effect on a service on Kubernetes", s.Title)
	}
	if policy := s.Options.Restart; policy != "" && policy != "no" {
		b.warn("the service %s: options: --restart %s: a service that ends is not started again on Kubernetes", s.Title, policy)
	}
}

// warn tells the author.
func (b *begun) warn(format string, args ...any) {
	b.of.Call.Log.Line("::warning::kiln: %s", hook.EscapeData(fmt.Sprintf(format, args...)))
}

// together adds up what services are in one pod.
func together(plan []*planned, pod string) job.Services {
	var all job.Services
	for _, s := range plan {
		if s.pod == pod {
			all = all.With(s.parts)
			for _, m := range s.mappings {
				all.Ports = append(all.Ports, int32(m.Port.Number))
			}
		}
	}
	return all
}

// names are the titles of services, for a line of the log.
func names(list []*planned) string {
	var titles []string
	for _, s := range list {
		titles = append(titles, s.Title)
	}
	return strings.Join(titles, ", ")
}

// hostname is what a pod of one service and nothing else is called: as that service's options say, or else
// by its first name. It leads to the pod's address, so that what binds to it is reached from
// outside; empty for a pod with several.
func hostname(plan []*planned, pod string) string {
	var own []*planned
	for _, s := range plan {
		if s.pod == pod {
			own = append(own, s)
		}
	}
	if len(own) != 1 {
		return ""
	}
	for _, name := range append([]string{strings.ToLower(own[0].Options.Hostname)}, own[0].Hosts...) {
		if slices.Contains(own[0].Hosts, name) && len(validation.IsDNS1123Label(name)) == 0 {
			return name
		}
	}
	return ""
}

// aliases are the names of services as the containers of a pod have them, but for own, which
// is the pod's hostname. Each is an entry of its own: there are resolvers that give up on a
// long line.
func aliases(plan []*planned, pod, own string) []corev1.HostAlias {
	var list []corev1.HostAlias
	for _, s := range plan {
		ip := s.ip
		if s.pod == pod {
			ip = "127.0.0.1"
		}
		for _, host := range s.Hosts {
			if s.pod == pod && host == own {
				continue
			}
			list = append(list, corev1.HostAlias{IP: ip, Hostnames: []string{host}})
		}
	}
	return list
}
