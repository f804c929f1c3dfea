// Package conformance proves a driver right or wrong.
//
// In a Go test:
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, npu.Driver{}, conformance.Options{})
//	}
//
// In a plain program, on a phone for instance, where there is no go test:
//
//	report, err := conformance.Run(ctx, npu.Driver{}, conformance.Options{})
//
// The command `heddle conform` is the latter. Both run the same cases. A case
// has a dotted ID that never changes its meaning; the file mustpass/v0.txt lists
// all of them with the profiles that ask for each. What a device does not
// claim in its capabilities is unsupported, with the reason; what it claims,
// operator by operator or as a whole profile, has to work.
//
// Numbers are judged by the float64 reference of package ops/oracle. README.md
// explains profiles, statuses, tolerances and reports.
//
// Package conformance imports hal, graph, ops, ops/oracle and its own
// packages, of which conformance/internal/models alone knows models.
package conformance
