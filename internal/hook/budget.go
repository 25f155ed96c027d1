package hook

import "fmt"

// maxValues bounds the values of a step's JSON. A value takes a byte or two
// there, and a hundred where it is decoded: 4 MiB of empty mounts took 377. A
// step within the bounds of [Container.Validate] has less than half as many.
const maxValues = 50_000

// CheckBudget counts the values in data before they are decoded, those that the
// decoder would pass over too. It keeps nothing and takes any bytes: what is no
// JSON is for the decoder to say.
func CheckBudget(data []byte) error {
	values, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '[' || c == '{' || c == ':'):
			values++
		}
		if values > maxValues {
			return fmt.Errorf("the step holds more than %d values in its JSON: shorten its env, args or volumes in the workflow or the action", maxValues)
		}
	}
	return nil
}
