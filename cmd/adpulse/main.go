// Command adpulse collects ad events, keeps every one that it acknowledged, and
// ships each to Kafka exactly once. `adpulse --help` teaches its use.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"adpulse/system"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	p := &program{
		env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		signals: signals, exit: os.Exit, open: openNode, seed: system.Seed, follow: followTopic, check: system.Verify,
	}
	os.Exit(p.run(os.Args[1:]))
}
