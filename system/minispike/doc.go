// Package minispike is a small server of the Aerospike wire protocol: a single
// node that holds every partition of one namespace, in memory or durably in a
// directory. The real clients, unchanged, do with it what they do with a
// cluster, as far as this page goes.
//
//	server, err := minispike.Start(minispike.Config{})
//	…
//	client, err := aerospike.NewClient("127.0.0.1", server.Addr().(*net.TCPAddr).Port)
//
// # What is implemented
//
//   - Info: all that clients ask for while they tend a cluster; sindex-create,
//     -delete, -exists, -list, -stat; truncate and truncate-namespace;
//     namespaces, namespace, sets, statistics, status, version.
//   - Single records: get (all bins, some, or none), exists, put, delete, touch,
//     operate with read, write, add, append, prepend, touch, delete, lists,
//     maps, and expressions.
//   - Record exists actions: update, update only, replace, replace only, create
//     only. Generations: expected equal or greater.
//   - Times to live: the namespace's default, never, unchanged. Expired records
//     are invisible at once and removed by a sweep.
//   - User keys: stored when they are sent, compared when they are sent again.
//   - Bins of integers, floats, strings, blobs, bools, lists, and maps.
//   - Batches: reads, writes, deletes, operations, mixed in any way, each record
//     for itself; a filter for all of them or for one.
//   - Scans and queries by partition, to be continued after any record; of a
//     set or the namespace; of all bins, some, or none; at most so many records.
//   - Secondary indexes over integers and strings, of a set or the namespace;
//     queries by range and equality.
//   - Filter expressions everywhere.
//   - Requests that are compressed; answers are not.
//
// # What is refused
//
// Result code 16, not supported: user-defined functions, aggregations,
// background queries, multi-record transactions, operations on the bits of
// blobs, HyperLogLog, GeoJSON, indexes over elements of lists and maps or over
// expressions, and reads that extend a time to live. Result code 25: durable
// deletes, as by the Community Edition. Security is not enabled: result code 52.
//
// Records per second, commit levels, and read modes are taken and ignored:
// there is one node.
//
// # Durability
//
// With Config.Dir an answered write survives kill -9 of the process: its log is
// in the operating system's page cache before the answer. With Config.Sync it
// survives the death of the machine as well. No answer tells of a write that a
// crash could still take back. One process at a time may use a directory.
//
// # Faults
//
// Config.Faults makes requests of a kind slow, refuses them, or drops their
// connection before or after they are carried out.
package minispike
