package preflight

// warnings are what the author should know of a site, whatever builds the
// image.
func (s *site) warnings() []Problem {
	return nil
}
