package dim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNormalForm(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"0", "0"}, {"3+4", "7"}, {"a", "a"}, {"a+b", "a+b"}, {"b+a", "a+b"}, {"a-a", "0"},
		{"tiles*196", "tiles*196"}, {"196*tiles", "tiles*196"}, {"(w-14)/14+1", "w/14"}, {"(4*a+6)/4", "a+1"},
		{"(6*a+4)/4", "((a*3+2)/2)"}, {"a/2/3", "a/6"}, {"-a", "-a"}, {"-(a/2)", "-(a/2)"}, {"2*(a/3)", "(a/3)*2"},
		{"(a+1)/2*2", "((a+1)/2)*2"}, {"a*0", "0"}, {"5-a*2", "-a*2+5"}, {"((w+1)/2+3)/2", "(w+7)/4"},
	} {
		d, err := Parse(c.in)
		require.NoError(t, err, c.in)
		w, err := Parse(c.want)
		require.NoError(t, err, c.want)
		require.True(t, d.Equal(w), "%s is %s, want %s", c.in, d, w)
		back, err := Parse(d.String())
		require.NoError(t, err, d.String())
		require.True(t, back.Equal(d), "%s reads back as %s", d, back)
	}
}

// Every expression agrees with integer arithmetic on every small binding.
func TestEvalExhaustive(t *testing.T) {
	floor := func(a, n int64) int64 { return floorDiv(a, n) }
	for _, c := range []struct {
		in string
		f  func(a, b int64) int64
	}{
		{"(a-14)/14+1", func(a, b int64) int64 { return floor(a-14, 14) + 1 }},
		{"(2*a+3*b-1)/6", func(a, b int64) int64 { return floor(2*a+3*b-1, 6) }},
		{"(4*a+2)/8+b", func(a, b int64) int64 { return floor(4*a+2, 8) + b }},
		{"((a+1)/2+b)/3", func(a, b int64) int64 { return floor(floor(a+1, 2)+b, 3) }},
		{"(a/2)*3-(b/4)", func(a, b int64) int64 { return floor(a, 2)*3 - floor(b, 4) }},
		{"(6-4*a)/4", func(a, b int64) int64 { return floor(6-4*a, 4) }},
		{"(-a-1)/3", func(a, b int64) int64 { return floor(-a-1, 3) }},
	} {
		d, err := Parse(c.in)
		require.NoError(t, err)
		syms := []Symbol{{Name: "a", Min: 0, Max: 40}, {Name: "b", Min: 0, Max: 40}}
		lo, hi, err := d.Bounds(syms)
		require.NoError(t, err)
		for a := int64(0); a <= 40; a++ {
			for b := int64(0); b <= 40; b++ {
				got, err := d.Eval(Binding{"a": a, "b": b})
				require.NoError(t, err)
				require.Equal(t, c.f(a, b), got, "%s at %d,%d", d, a, b)
				require.LessOrEqual(t, lo, got)
				require.GreaterOrEqual(t, hi, got)
				n, ok := d.Subst(Binding{"a": a}).Subst(Binding{"b": b}).Const()
				require.True(t, ok)
				require.Equal(t, got, n)
			}
		}
	}
}

func TestInvalid(t *testing.T) {
	for _, in := range []string{"", "a b", "a*b", "a/0", "a/b", "a/-1", "(a", "9223372036854775808", "9223372036854775807+1",
		"4611686018427387904*2", "a*4611686018427387904*4", "?", "a+", "1a"} {
		_, err := Parse(in)
		require.Error(t, err, in)
	}
	require.Error(t, Sym("a*b").Valid())
	require.Error(t, Sym("a").Mul(Sym("b")).AddInt(1).Valid())
	_, err := Sym("a").Eval(nil)
	require.ErrorContains(t, err, `"a"`)
	_, err = Count([]int64{1 << 40, 1 << 40})
	require.Error(t, err)
	n, err := Count([]int64{1 << 62, 1 << 62, 0})
	require.NoError(t, err)
	require.Zero(t, n)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"past+chunk", "tiles*196", "(w-14)/14+1", "((a+1)/2)*2-b*3", "-(a/2)", "(-a)/16+b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			return
		}
		back, err := Parse(d.String())
		if err != nil {
			if len(d.String()) > 1024 {
				return
			}
			t.Fatalf("%q prints as %q: %v", s, d, err)
		}
		if !back.Equal(d) {
			t.Fatalf("%q prints as %q and reads back as %q", s, d, back)
		}
	})
}

func ExampleDim_Eval() {
	w := Sym("width")
	patches := w.AddInt(-14).Div(14).AddInt(1)
	n, _ := patches.Eval(Binding{"width": 384})
	fmt.Println(patches, n)
	// Output: width/14 27
}
