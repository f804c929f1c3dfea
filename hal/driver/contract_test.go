package driver_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal/driver"
)

// What a vendor must write is bounded: at most six small interfaces with 24
// methods in all. Everything else is optional and found with driver.As.
func TestContractStaysSmall(t *testing.T) {
	required := []reflect.Type{
		reflect.TypeFor[driver.Driver](), reflect.TypeFor[driver.Device](), reflect.TypeFor[driver.Memory](),
		reflect.TypeFor[driver.Executable](), reflect.TypeFor[driver.Queue](), reflect.TypeFor[driver.Timeline](),
	}
	require.LessOrEqual(t, len(required), 6)
	methods, known := 0, map[reflect.Type]bool{}
	for _, i := range required {
		methods += i.NumMethod()
		known[i] = true
		require.LessOrEqual(t, i.NumMethod(), 6, "%s is not small", i)
	}
	require.LessOrEqual(t, methods, 24)
	// Every interface of this package that a required one mentions is itself
	// in the list: nothing required hides behind a parameter.
	for _, i := range required {
		for m := range i.NumMethod() {
			f := i.Method(m).Type
			for k := range f.NumIn() {
				requireKnown(t, known, i, f.In(k), map[reflect.Type]bool{})
			}
			for k := range f.NumOut() {
				requireKnown(t, known, i, f.Out(k), map[reflect.Type]bool{})
			}
		}
	}
}

func requireKnown(t *testing.T, known map[reflect.Type]bool, in, ty reflect.Type, seen map[reflect.Type]bool) {
	if seen[ty] {
		return
	}
	seen[ty] = true
	switch ty.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		requireKnown(t, known, in, ty.Elem(), seen)
	case reflect.Struct:
		if ty.PkgPath() == in.PkgPath() {
			for i := range ty.NumField() {
				requireKnown(t, known, in, ty.Field(i).Type, seen)
			}
		}
	case reflect.Interface:
		if ty.PkgPath() == in.PkgPath() {
			require.True(t, known[ty], "%s needs %s, which is not counted", in, ty)
		}
	}
}

type plain struct{ driver.Device }

type sharing struct{ plain }

func (sharing) Export(driver.Memory, driver.ShareKind) (driver.External, error) {
	return driver.External{Size: 42}, nil
}

// wrapper passes Exporter on and hides the rest.
type wrapper struct{ driver.Device }

func (w wrapper) As(target any) bool {
	if t, ok := target.(*driver.Exporter); ok {
		*t, ok = driver.As[driver.Exporter](w.Device)
		return ok
	}
	return false
}

func TestAs(t *testing.T) {
	_, ok := driver.As[driver.Exporter](plain{})
	require.False(t, ok)
	for _, d := range []driver.Device{sharing{}, wrapper{sharing{}}, wrapper{wrapper{sharing{}}}} {
		e, ok := driver.As[driver.Exporter](d)
		require.True(t, ok)
		x, err := e.Export(nil, driver.HostPtr)
		require.NoError(t, err)
		require.EqualValues(t, 42, x.Size)
		_, ok = driver.As[driver.Importer](d)
		require.False(t, ok)
	}
	_, ok = driver.As[driver.Exporter](wrapper{plain{}})
	require.False(t, ok)
}
