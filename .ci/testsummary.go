// Command testsummary runs go test with its arguments and ends with one summary:
// how many tests passed, failed and were skipped, by name where a name matters.
// It exits as go test does.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json`.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

type test struct{ pkg, name string }

func main() {
	started := time.Now()
	command := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary: cannot run go test:", err)
		os.Exit(2)
	}
	said := map[test][]string{}
	count := map[string]int{}
	var failed, skipped []string
	packages, failedPackages := 0, 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		at := test{e.Package, e.Test}
		name := strings.TrimPrefix(e.Package, "adpulse/") + " " + e.Test
		switch {
		case e.Action == "build-output":
			fmt.Print(e.Output)
		case e.Action == "output":
			said[at] = append(said[at], e.Output)
		case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
			if e.Test != "" {
				count[e.Action]++
				if e.Action == "fail" {
					failed = append(failed, name)
					fmt.Print(strings.Join(said[at], ""))
				}
				if e.Action == "skip" {
					skipped = append(skipped, name)
				}
				delete(said, at)
				continue
			}
			switch e.Action {
			case "pass":
				packages++
				fmt.Printf("ok    %-45s %7.2fs\n", e.Package, e.Elapsed)
			case "fail":
				failedPackages++
				// What belongs to no finished test: a panic, a leak, a time limit.
				for left, output := range said {
					if left.pkg == e.Package {
						fmt.Print(strings.Join(output, ""))
					}
				}
				fmt.Printf("FAIL  %-45s %7.2fs\n", e.Package, e.Elapsed)
			}
		}
	}
	err = errors.Join(lines.Err(), command.Wait())
	slices.Sort(skipped)
	fmt.Println()
	for _, name := range skipped {
		fmt.Println("skipped:", name)
	}
	for _, name := range failed {
		fmt.Println("FAILED: ", name)
	}
	verdict := "ok"
	if err != nil {
		verdict = "FAILED"
	}
	fmt.Printf("%s: %d tests passed, %d failed, %d skipped; %d packages passed, %d failed; %s\n",
		verdict, count["pass"], count["fail"], count["skip"], packages, failedPackages, time.Since(started).Round(100*time.Millisecond))
	if err != nil {
		os.Exit(1)
	}
}
