package podtemplate

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Plain scalars of the core schema (YAML 1.2.2, section 10.3.2), as far as
// js-yaml 4.1 and 5 agree on them.
var (
	nulls    = regexp.MustCompile(`^(~|null|Null|NULL|)$`)
	bools    = regexp.MustCompile(`^(true|True|TRUE|false|False|FALSE)$`)
	integers = regexp.MustCompile(`^([-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	floats   = regexp.MustCompile(`^([-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?)$`)
	// unclear is what some reader takes for a number or a date and another one
	// for text or for another number.
	unclear = regexp.MustCompile(`^([-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+([eE][-+]?[0-9]+)?|` +
		`[-+]?0[bB][01_]+|[-+]?0[oO][0-7_]+|[-+]?0[xX][0-9a-fA-F_]+|` +
		`[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|` +
		`[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:.*)?)$`)
)

// largest is the greatest integer that JavaScript counts to without a gap.
const largest = 1 << 53

// A kind is what a scalar is.
type kind string

const (
	kindNull   kind = "empty"
	kindBool   kind = "true or false"
	kindNumber kind = "a number"
	kindText   kind = "text"
	kindOther  kind = "other"
)

// scalar returns the value of a scalar: nil, bool, int64, float64 or string.
// kindOther has none: readers differ about it.
func scalar(node *yaml.Node) (any, kind) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	text := node.Value
	switch {
	case node.Style&(quoted|yaml.TaggedStyle) != 0:
		return text, kindText
	case nulls.MatchString(text):
		return nil, kindNull
	case bools.MatchString(text):
		return strings.EqualFold(text, "true"), kindBool
	case integers.MatchString(text):
		number, err := strconv.ParseInt(text, 0, 64)
		if err != nil || number > largest || number < -largest {
			return nil, kindOther
		}
		return number, kindNumber
	case floats.MatchString(text):
		number, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || math.IsInf(number, 0):
			return nil, kindOther
		case number == math.Trunc(number) && math.Abs(number) <= largest:
			return int64(number), kindNumber
		}
		return number, kindNumber
	case unclear.MatchString(text):
		return nil, kindOther
	}
	return text, kindText
}
