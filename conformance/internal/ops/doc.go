// Package ops holds the cases that are single operators: each in every element
// type that it takes, with its attributes varied, at odd sizes and at those of
// real models, with weights in every encoding.
//
// Each family of operators has a file with a table of [form]s. IDs are
// "ops.<operator>.<type>.<form>"; with ".steps" behind, sizes are symbols and
// several runs follow one another; with ".decomposed", composite operators are
// taken apart first. Names of forms never change their meaning.
//
// Package ops imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package ops
