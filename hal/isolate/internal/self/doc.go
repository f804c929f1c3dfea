// Package self knows what this process is to isolated devices: a program
// that can be their host, or a host itself. It imports only the standard
// library.
package self
