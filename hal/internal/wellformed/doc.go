// Package wellformed verifies graphs for package hal, which by itself knows no
// operators.
//
// Package wellformed imports graph and ops.
package wellformed
