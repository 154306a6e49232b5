package system

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// mistake is one that the model's world makes on the production code's behalf,
// to show that the model would find it.
type mistake uint8

const (
	none mistake = iota
	// resumesWithoutTheTail: a recovery goes on behind the checkpoint.
	resumesWithoutTheTail
	// believesInTheEnd: a recovery takes the topic's end for the checkpoint's.
	believesInTheEnd
	// readsUncommitted: a recovery takes what is open for committed.
	readsUncommitted
	// movesTheCheckpointFirst: before the transaction, not behind it.
	movesTheCheckpointFirst
	// acknowledgesBeforeTheWrite: whatever becomes of a write, it is answered
	// as one that went well.
	acknowledgesBeforeTheWrite
	// fencesNobody: starting a producer leaves its predecessor alone.
	fencesNobody
	// takesReplaysForDuplicates: an event whose change record is there is dropped.
	takesReplaysForDuplicates
	// forgetsIDs: an event whose change record is there is exported.
	forgetsIDs
	// overwritesSegments: a journal record is written, be there one or not.
	overwritesSegments
	// trimsAhead: what the checkpoint has not passed is trimmed too.
	trimsAhead
)

// TestModelFindsMistakes makes one mistake at a time and wants it found. What
// it logs is the shortest history that rapid has found for each.
func TestModelFindsMistakes(t *testing.T) {
	setRapid(t, "nofailfile", "true")
	setRapid(t, "shrinktime", "150ms")
	setRapid(t, "steps", fmt.Sprint(modelActions))
	setRapid(t, "seed", "4") // a mistake that is found once is found each time
	stage := newStage(t)
	for _, c := range []struct {
		name   string
		make   mistake
		within int    // histories
		says   string // "" where it breaks one promise or another
	}{
		{"resume without the tail", resumesWithoutTheTail, 500, "committed twice"},
		{"believe in the topic's end", believesInTheEnd, 500, "committed twice"},
		{"believe what is not committed", readsUncommitted, 1000, "not in the topic"},
		{"move the checkpoint before the commit", movesTheCheckpointFirst, 100, "not in the topic"},
		{"acknowledge before the write", acknowledgesBeforeTheWrite, 100, "never in the journal"},
		{"fence nobody", fencesNobody, 2000, ""},
		{"take a replay for a duplicate", takesReplaysForDuplicates, 500, "not in the topic"},
		{"forget the ids of events", forgetsIDs, 100, "committed twice"},
		{"overwrite a segment", overwritesSegments, 1000, ""},
		{"trim ahead of the checkpoint", trimsAhead, 500, "trimmed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			setRapid(t, "checks", fmt.Sprint(c.within))
			histories := 0
			verdict := verdictOn(t.Name(), func(t *rapid.T) {
				histories++
				happen(t, stage, c.make)
			})
			require.True(t, verdict.failed, "not found in %d histories", c.within)
			require.Contains(t, verdict.errors, c.says)
			t.Logf("%s\n%s", verdict.errors, strings.Join(verdict.story, "\n"))
		})
	}
}

// verdictOn checks a property and keeps what a test would be told.
func verdictOn(name string, property func(*rapid.T)) (v *verdict) {
	v = &verdict{name: name}
	defer func() {
		if reason := recover(); reason != nil && reason != v {
			panic(reason)
		}
	}()
	rapid.Check(v, property)
	return v // not reached where the property fails
}

// verdict is a rapid.TB that keeps what it is told.
type verdict struct {
	name   string
	failed bool
	errors string
	story  []string // what the shortest history logs, draws aside
}

func (v *verdict) Helper()         {}
func (v *verdict) Name() string    { return v.name }
func (v *verdict) Fail()           { v.failed = true }
func (v *verdict) Failed() bool    { return v.failed }
func (v *verdict) FailNow()        { v.failed = true; panic(v) }
func (v *verdict) SkipNow()        { panic(v) }
func (v *verdict) Skip(...any)     { panic(v) }
func (v *verdict) Log(args ...any) { v.Logf("%s", fmt.Sprint(args...)) }

func (v *verdict) Logf(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !strings.HasPrefix(line, "[rapid]") {
		v.story = append(v.story, line)
	}
}

func (v *verdict) Error(args ...any) { v.Errorf("%s", fmt.Sprint(args...)) }

func (v *verdict) Errorf(format string, args ...any) {
	v.failed = true
	v.errors += fmt.Sprintf(format, args...)
}

func (v *verdict) Fatal(args ...any)                 { v.Error(args...); v.FailNow() }
func (v *verdict) Fatalf(format string, args ...any) { v.Errorf(format, args...); v.FailNow() }
func (v *verdict) Skipf(string, ...any)              { panic(v) }
