// Package telemetry is what a node tells the people who run it: logs (zap, with
// a bridge for libraries that speak slog) and metrics (a Prometheus registry of
// its own).
//
// Only system and cmd import it. Actors and adapters declare the small
// interfaces that they report to; Metrics has plain methods that satisfy them,
// so that no Prometheus type leaves this package.
package telemetry
