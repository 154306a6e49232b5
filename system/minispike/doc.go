// Package minispike is a small server of the Aerospike wire protocol.
package minispike
