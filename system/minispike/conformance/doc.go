// Package conformance holds the contract of the Aerospike wire protocol as
// the cases that adpulse relies on, spoken by the public Go client as it is.
//
// Run puts a server to every case. The tests of this package run it against
// minispike in memory, so that a build machine needs nothing else, and, when
// ADPULSE_EDGE names a server as host:port, against that one too:
//
//	ADPULSE_EDGE=127.0.0.1:3000 go test ./system/minispike/conformance/
//
// With a server so named, further tests carry out random operations and
// expressions on it and on minispike, and compare. When one differs, the log
// says which, in words; -rapid.checks says how many are tried.
//
// A case states what the real server does. Where minispike and the real one
// differ, minispike is wrong, whatever a manual says.
//
// A real server needs a namespace "test" that accepts writes, with a
// nsup-period above 0: without one it refuses every time to live. Cases
// remove the records that they write and the indexes that they create, but
// the names of a few dozen sets stay behind on a real server, which keeps at
// most 4095 of them a namespace; restart a server in memory now and then.
// Several runs may share a server.
//
// The directory node holds the same in small for the Node.js client, which is
// the C client underneath. Its test needs node, and in ADPULSE_NODE_MODULES
// a directory in which `npm ci` was run for node/package.json:
//
//	npm ci --prefix system/minispike/conformance/node
//	ADPULSE_NODE_MODULES=system/minispike/conformance/node go test ./system/minispike/conformance/
//
// A relative path is taken from the module's root. Without node or the modules
// that test is skipped, and fails when ADPULSE_REQUIRE_TOOLS is 1.
package conformance
