// Package system opens, wires and closes a node: the embedded servers or the
// clients of real ones, the actors between them, and the gateway in front.
//
// The packages below it know the outside world, each one part of it, and not
// each other. This one alone joins them with the actors.
package system
