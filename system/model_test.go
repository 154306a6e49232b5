package system

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"adpulse/messages"
)

// modelHistories is how many histories TestModel runs, modelActions how many
// actions one has on average.
const (
	modelHistories = 2000
	modelActions   = 24
)

// modelNodes are the nodes of a history. A node may have processes that were
// replaced and do not know it.
var modelNodes = []string{"a", "b"}

// modelProcesses bounds the processes that run at once.
const modelProcesses = 4

// TestEveryHistoryLosesAndDoublesNothing lets random histories happen to the
// production code of collectors, exporters and lane keepers: publishers send
// and repeat, signals get lost, requests fail before or after they have taken
// effect, or take effect later, processes die, are replaced while they run, and
// adopt each other's lanes. After each action, and when everything is healed,
// what was promised must hold.
//
// A failure prints the shortest history that leads to it.
func TestEveryHistoryLosesAndDoublesNothing(t *testing.T) {
	setRapid(t, "checks", fmt.Sprint(modelHistories))
	setRapid(t, "steps", fmt.Sprint(modelActions))
	stage := newStage(t)
	rapid.Check(t, func(t *rapid.T) { happen(t, stage, none) })
	for _, what := range []string{
		"request done", "request refused", "request done, answer lost", "request answer lost, on the wire",
		"request done by half, failed", "request done, slowly", "write landed late", "crash", "signal lost",
		"append fenced", "append made up for", "append behind another's", "duplicate dropped", "change record replayed",
		"commit fenced", "transaction timed out", "event found in the tail", "segment trimmed",
		"lane taken over", "lane lost", "lane retired",
	} {
		t.Logf("%7d × %s", stage.seen[what], what)
		require.NotZero(t, stage.seen[what], "no history has come across: %s", what)
	}
}

// setRapid sets one of rapid's flags for the test, unless the command line did.
func setRapid(t *testing.T, name, value string) {
	t.Helper()
	name = "rapid." + name
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	before := flag.Lookup(name).Value.String()
	require.NoError(t, flag.Lookup(name).Value.Set(value))
	t.Cleanup(func() { require.NoError(t, flag.Lookup(name).Value.Set(before)) })
}

// happen is one history.
func happen(t *rapid.T, stage *stage, m mistake) {
	w := newWorld(t, stage, m)
	defer w.close()
	for _, node := range modelNodes {
		w.open(w.launch(node))
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(*rapid.T) { w.check() },
		// Chance picks a name, the first in the alphabet more often than the last:
		// what is to happen more often has several.
		"send": w.send, "send some": w.send, "send again": w.sendAgain,
		"work": w.work, "work on": w.work, "go on": w.work, "step": w.step,
		"fail": w.fail, "fail too": w.fail, "refuse": w.refuse,
		"unplug": w.crash, "start": w.start,
		"land": w.landOne, "lose": w.loseSignals, "time": w.time, "time out": w.timeOut,
	})
	w.heal()
	w.check()
	w.checkWhole()
}

func (w *world) check() {
	if w.violation != "" {
		w.t.Fatalf("%s", w.violation)
	}
}

// checkWhole looks at a world that is healed: every acknowledged event is in
// the topic. That none is there twice, and none that was never sent, is seen
// when it is committed.
func (w *world) checkWhole() {
	for _, id := range w.clients.acknowledged {
		if w.kafka.committed[id] != 1 {
			w.t.Fatalf("acknowledged event %s is %d times in the topic", name(id), w.kafka.committed[id])
		}
	}
}

// pick draws one of some, if there are any.
func pick[T any](t *rapid.T, what string, of []T) (picked T, found bool) {
	if len(of) == 0 {
		return picked, false
	}
	return of[rapid.IntRange(0, len(of)-1).Draw(t, what)], true
}

func (w *world) living(ready bool) []*process {
	var living []*process
	for _, p := range w.processes {
		if !p.dead && (!ready || p.booted) {
			living = append(living, p)
		}
	}
	return living
}

func (w *world) send(t *rapid.T) {
	to, found := pick(t, "process", w.living(true))
	if !found {
		return
	}
	ids := make([]messages.EventID, rapid.IntRange(1, 3).Draw(t, "events"))
	for i := range ids {
		ids[i] = w.clients.fresh()
	}
	w.clients.send(to, ids...)
}

// sendAgain is what a client does that got no answer, or did not hear it.
func (w *world) sendAgain(t *rapid.T) {
	c := w.clients
	id, sent := pick(t, "event", append(slices.Clone(c.unsure), c.acknowledged...))
	to, found := pick(t, "process", w.living(true))
	if sent && found {
		c.send(to, id)
	}
}

// work lets a process go on for a while, undisturbed.
func (w *world) work(t *rapid.T) {
	p, found := pick(t, "process", w.living(false))
	if !found {
		return
	}
	w.workOn(p, rapid.IntRange(1, 30).Draw(t, "requests"))
}

// open lets a process go on until it waits for the clock.
func (w *world) open(p *process) {
	for tasks := w.runnable(p); len(tasks) > 0; tasks = w.runnable(p) {
		w.answer(oldest(tasks), done)
	}
}

// workOn answers some requests of a process, the oldest first. When there is
// none it waits for the clock.
func (w *world) workOn(p *process, requests int) {
	for range requests {
		tasks := w.runnable(p)
		if next, waits := w.nextWake(); len(tasks) == 0 && waits && p.booted {
			w.advance(next)
			tasks = w.runnable(p)
		}
		if len(tasks) > 0 {
			w.answer(oldest(tasks), done)
		}
	}
}

func (w *world) step(t *rapid.T) {
	if task, found := pick(t, "request", w.runnable(nil)); found {
		w.answer(task, done)
	}
}

// fail lets a write end in one of the ways in which it is not done.
func (w *world) fail(t *rapid.T) {
	task, found := pick(t, "request", w.failable(func(r *request) bool { return r.write != nil }))
	if found {
		w.answer(task, rapid.SampledFrom([]outcome{refused, lost, delayed, partial, slow}).Draw(t, "outcome"))
	}
}

// refuse lets any request fail, as they do where the store is not reached.
func (w *world) refuse(t *rapid.T) {
	if task, found := pick(t, "request", w.failable(func(*request) bool { return true })); found {
		w.answer(task, refused)
	}
}

func (w *world) failable(which func(*request) bool) (tasks []*task) {
	for _, task := range w.runnable(nil) {
		if task.at.until.IsZero() && which(task.at) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

func (w *world) crash(t *rapid.T) {
	p, found := pick(t, "process", w.living(false))
	if !found {
		return
	}
	t.Logf("%s crashes", p)
	w.seen["crash"]++
	w.end(p, func(r *request) bool {
		return rapid.Bool().Draw(t, r.what.String()+" is on the wire")
	})
	w.settle()
}

func (w *world) start(t *rapid.T) {
	if len(w.living(false)) < modelProcesses {
		w.launch(rapid.SampledFrom(modelNodes).Draw(t, "node"))
	}
}

func (w *world) landOne(t *rapid.T) {
	if len(w.late) > 0 {
		w.land(rapid.IntRange(0, len(w.late)-1).Draw(t, "write"))
	}
}

func (w *world) loseSignals(t *rapid.T) { w.signalsLost = rapid.IntRange(1, 3).Draw(t, "signals lost") }

func (w *world) time(t *rapid.T) {
	to, waits := w.nextWake()
	if by := rapid.SampledFrom([]time.Duration{0, time.Second, modelLease}).Draw(t, "time"); by > 0 || !waits {
		to = w.now.Add(by)
	}
	t.Logf("it is %s later", to.Sub(w.now))
	w.advance(to)
}

func (w *world) timeOut(t *rapid.T) {
	if id, found := pick(t, "transaction", w.kafka.unfinished()); found {
		t.Logf("the broker ends the transaction of %s", id)
		w.kafka.settle(id)
	}
}

// healMost bounds the requests until a world without faults has nothing left
// to do.
const healMost = 5000

// healTraffic is after which time without faults events are sent again.
const healTraffic = 5 * time.Second

// heal ends all faults and lets everything run until the lanes are exported.
func (w *world) heal() {
	w.t.Logf("everything heals")
	w.signalsLost = 0
	for len(w.late) > 0 {
		w.land(0)
	}
	traffic := w.now.Add(healTraffic)
	for range healMost {
		w.check()
		if tasks := w.runnable(nil); len(tasks) > 0 {
			w.answer(oldest(tasks), done)
			continue
		}
		if w.restart() {
			continue
		}
		if w.drained() {
			return
		}
		for _, id := range w.kafka.unfinished() {
			w.kafka.settle(id)
		}
		if next, waits := w.nextWake(); waits {
			w.advance(next)
		} else {
			w.now = w.now.Add(time.Second)
		}
		if w.now.After(traffic) {
			// What a predecessor wrote behind a sequence that it left out goes on
			// when its successor fills that.
			traffic = w.now.Add(healTraffic)
			for _, p := range w.living(true) {
				w.clients.send(p, w.clients.fresh())
			}
		}
	}
	w.t.Fatalf("something hangs: a world without faults does not come to rest")
}

// restart starts the nodes that have no process.
func (w *world) restart() bool {
	for _, node := range modelNodes {
		alive := false
		for _, p := range w.living(false) {
			alive = alive || p.node == node
		}
		if !alive {
			w.launch(node)
			return true
		}
	}
	return false
}

// drained tells whether all is exported and every client answered.
func (w *world) drained() bool {
	for lane, stored := range w.edge.checkpoints {
		if w.edge.head(lane) > stored.value.Seq {
			return false
		}
	}
	for lane := range w.edge.journal {
		if w.edge.checkpoints[lane].generation == 0 && w.edge.head(lane) > 0 {
			return false
		}
	}
	return len(w.clients.outstanding) == 0 && len(w.late) == 0
}
