//go:build race

package e2e_test

// The program is built with the race detector where the tests are.
func init() { buildFlags = append(buildFlags, "-race") }
