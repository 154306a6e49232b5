package minispike_test

import (
	"fmt"
	"log"
	"net"

	as "github.com/aerospike/aerospike-client-go/v7"

	"adpulse/system/minispike"
)

// The real client talks to a server in memory.
func Example() {
	server, err := minispike.Start(minispike.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, aerr := as.NewClient("127.0.0.1", server.Addr().(*net.TCPAddr).Port)
	if aerr != nil {
		log.Panic(aerr)
	}
	defer client.Close()

	key, aerr := as.NewKey("test", "campaigns", 6)
	if aerr != nil {
		log.Panic(aerr)
	}
	count := as.MapIncrementOp(as.DefaultMapPolicy(), "stats", "clicks", 1)
	for range 3 {
		record, aerr := client.Operate(nil, key, count)
		if aerr != nil {
			log.Panic(aerr)
		}
		fmt.Println(record.Bins["stats"])
	}
	// Output:
	// 1
	// 2
	// 3
}

// A fault drops the connection after the write was carried out: the client
// cannot know.
func ExampleFaults() {
	faults := minispike.NewFaults(1)
	server, err := minispike.Start(minispike.Config{Faults: faults})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, aerr := as.NewClient("127.0.0.1", server.Addr().(*net.TCPAddr).Port)
	if aerr != nil {
		log.Panic(aerr)
	}
	defer client.Close()

	faults.Set(minispike.Fault{On: minispike.Write, Do: minispike.DropAfter, Count: 1})
	key, aerr := as.NewKey("test", "events", "a")
	if aerr != nil {
		log.Panic(aerr)
	}
	policy := as.NewWritePolicy(0, 0)
	policy.MaxRetries = 0
	aerr = client.Put(policy, key, as.BinMap{"n": 1})
	exists, _ := client.Exists(nil, key)
	fmt.Println(aerr != nil && aerr.IsInDoubt(), exists)
	// Output: true true
}
