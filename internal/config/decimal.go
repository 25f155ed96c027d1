package config

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/alecthomas/kong"
)

// Decimal makes kong read whole numbers as they are written, in tens: 010 is
// ten. kong itself takes Go's literals, in which 010 is eight, and 0x10 and 1_0
// are numbers too; here they are errors.
func Decimal() kong.Option {
	read := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("number", &text); err != nil {
			return err
		}
		number, err := strconv.ParseInt(text, 10, target.Type().Bits())
		if err != nil {
			return fmt.Errorf("expected a whole decimal number but got %q", text)
		}
		target.SetInt(number)
		return nil
	})
	return kong.OptionFunc(func(k *kong.Kong) error {
		for _, kind := range []reflect.Kind{reflect.Int, reflect.Int32, reflect.Int64} {
			if err := kong.KindMapper(kind, read).Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}
