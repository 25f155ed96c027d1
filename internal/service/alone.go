package service

// Alone tells for each service whether it gets a pod of its own, because it would
// want a port that the job container or an earlier service has, or is of an earlier
// one's image. taken are the job container's ports. A job without a container
// (beside is false) has no steps that know a service as localhost, so that there
// also those are alone of which it is not known what they listen at.
func Alone(services []Service, beside bool, taken ...Port) ([]bool, error) {
	alone := make([]bool, len(services))
	ports, images := map[Port]bool{}, map[string]bool{}
	for _, port := range taken {
		ports[port] = true
	}
	for i, s := range services {
		listens, err := s.listens()
		if err != nil {
			return nil, err
		}
		alone[i] = images[s.Container.Image] || !beside && s.Image == nil
		for _, port := range listens {
			alone[i] = alone[i] || ports[port]
		}
		if alone[i] {
			continue
		}
		images[s.Container.Image] = true
		for _, port := range listens {
			ports[port] = true
		}
	}
	return alone, nil
}

// listens are the ports that a service is known to listen at.
func (s Service) listens() ([]Port, error) {
	mappings, err := s.Mappings()
	if err != nil {
		return nil, err
	}
	var all []Port
	for _, m := range mappings {
		all = append(all, m.Port)
	}
	if s.Image != nil {
		all = append(all, s.Image.Ports...)
	}
	return all, nil
}

// Mappings are those of ports: and of --publish.
func (s Service) Mappings() ([]Mapping, error) {
	list := append([]string{}, s.Container.PortMappings...)
	return Mappings(append(list, s.Options.Publish...))
}
