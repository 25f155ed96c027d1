package preflight

// Line returns the line of the instruction with the given text, or that of
// the first use of the image with the given reference, or 0. Texts are
// compared as they are: an instruction with heredocs or continuation lines
// whose text differs has none.
func (d *Dockerfile) Line(instruction, image string) int {
	for _, i := range d.Instructions {
		if instruction != "" && i.Text == instruction {
			return i.Line
		}
	}
	for _, i := range d.Images {
		if image != "" && i.Reference == image {
			return i.Line
		}
	}
	return 0
}
