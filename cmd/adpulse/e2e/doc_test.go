// Package e2e_test runs the built program as a person would: flags in, HTTP and
// signals on the way, exit codes, Kafka messages and lines of text out.
//
// Messages are read with kcat, a consumer that nobody here wrote. Where it is
// not installed franz-go reads instead, unless ADPULSE_REQUIRE_TOOLS is 1.
package e2e_test
