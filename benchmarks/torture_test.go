package benchmarks

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/topology"
)

// seen are records as tail shows them.
func seen(t *testing.T, lines ...string) records {
	t.Helper()
	r := newRecords()
	if err := r.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	oneAlert   = `{"topic":"alert","partition":3,"offset":17,"key":"1","value":{"rule":"needs_review","at":1}}`
	sameAlert  = `{"value":{"at":1,"rule":"needs_review"},"key":"1","topic":"alert"}`
	otherAlert = `{"topic":"alert","partition":3,"offset":18,"key":"1","value":{"rule":"needs_review","at":2}}`
)

// What the torture is for: a record that is missing, there again or of nobody's
// deciding is noticed, wherever in the log it stands.
func TestDifferencesAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name                          string
		want, got                     []string
		missing, repeated, unexpected int
	}{
		{"equal in another order and place", []string{sameAlert, otherAlert}, []string{otherAlert, oneAlert}, 0, 0, 0},
		{"missing", []string{sameAlert, otherAlert}, []string{oneAlert}, 1, 0, 0},
		{"there twice", []string{sameAlert}, []string{oneAlert, oneAlert}, 0, 1, 0},
		{"wanted twice, there once", []string{sameAlert, sameAlert}, []string{oneAlert}, 1, 0, 0},
		{"of nobody's deciding", []string{sameAlert}, []string{oneAlert, otherAlert}, 0, 0, 1},
		{"another in its place", []string{sameAlert}, []string{otherAlert}, 1, 0, 1},
	} {
		d := compare(seen(t, c.want...), seen(t, c.got...))
		if d.missing != c.missing || d.repeated != c.repeated || d.unexpected != c.unexpected {
			t.Errorf("%s: %v", c.name, d)
		}
		if d.equal() != (c.missing+c.repeated+c.unexpected == 0) {
			t.Errorf("%s: equal is %v", c.name, d.equal())
		}
		path := filepath.Join(t.TempDir(), "differences")
		if err := d.write(path); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || bytes.Count(text, []byte("\n")) != len(d.lines) {
			t.Errorf("%s: written as %q, %v", c.name, text, err)
		}
	}
}

// What stands in another order within a partition is noticed; between
// partitions and topics there is none.
func TestOrderIsNoticed(t *testing.T) {
	line := func(topic string, partition int, what string) string {
		return fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":0,"key":"1","value":%q}`, topic, partition, what)
	}
	want := seen(t, line("standing", 0, "a"), line("standing", 0, "b"), line("standing", 1, "c"), line("alert", 0, "d"))
	for _, c := range []struct {
		name       string
		got        records
		disordered int
	}{
		{"between partitions and topics", seen(t, line("alert", 0, "d"), line("standing", 1, "c"), line("standing", 0, "a"), line("standing", 0, "b")), 0},
		{"within a partition", seen(t, line("standing", 0, "b"), line("standing", 0, "a"), line("standing", 1, "c"), line("alert", 0, "d")), 1},
		{"in another partition", seen(t, line("standing", 0, "a"), line("standing", 0, "b"), line("standing", 0, "c"), line("alert", 0, "d")), 1},
	} {
		if d := compare(want, c.got); d.disordered != c.disordered || d.equal() != (c.disordered == 0) || d.missing+d.repeated+d.unexpected > 0 {
			t.Errorf("%s: %v\n%s", c.name, d, strings.Join(d.lines, "\n"))
		}
	}
}

// Texts that JSON could blur are kept apart: a long number, null and absent.
func TestNothingIsBlurred(t *testing.T) {
	for _, pair := range [][2]string{
		{`{"value":9007199254740993}`, `{"value":9007199254740992}`},
		{`{"value":null}`, `{}`},
		{`{"bytes":"AA=="}`, `{"value":"AA=="}`},
	} {
		if d := compare(seen(t, pair[0]), seen(t, pair[1])); d.equal() {
			t.Errorf("%s and %s are taken for one", pair[0], pair[1])
		}
	}
}

// What the oracle expects of a quarantined fact is what tail shows: every field
// at its value or default, bytes where nothing can be decoded, a tick once a
// partition.
func TestQuarantineAsATailShowsIt(t *testing.T) {
	const lines = `{"topic":"payout","at":"2024-01-02T00:00:00.000Z","key":null,"value":{"payout_id":"p","citizen_id":"c","benefit":"URRP","period":"2024-01","amount_fen":1,"paid_at":"2024-01-01T00:00:00.000Z"}}
{"topic":"evidence","at":"2024-01-02T00:00:00.001Z","key":"c","value":{"citizen_id":"c"}}
{"topic":"evidence","at":"2024-01-02T00:00:00.002Z","key":"c"}
{"topic":"clock","at":"2024-01-02T00:00:00.003Z","value":{"at":"2024-01-03T00:00:00.000Z"}}
`
	keys := topology.TickKeys(2)
	people, err := city.New(city.Config{})
	if err != nil {
		t.Fatal(err)
	}
	o := newOracle(people.Catalogue(), strings.NewReader(lines), 2)
	if err := o.decide(int64(len(lines))); err != nil {
		t.Fatal(err)
	}
	want := seen(t,
		`{"topic":"quarantine","partition":0,"offset":0,"key":null,"reason":"key_mismatch","value":{"payout_id":"p","citizen_id":"c","benefit":"URRP","period":"2024-01","amount_fen":1,"paid_at":"2024-01-01T00:00:00.000Z","payee":null}}`,
		`{"topic":"quarantine","partition":0,"offset":1,"key":"c","reason":"undecodable","bytes":"eyJjaXRpemVuX2lkIjoiYyJ9"}`,
		`{"topic":"quarantine","partition":0,"offset":2,"key":"c","reason":"null_value","value":null}`,
		fmt.Sprintf(`{"topic":"quarantine","partition":0,"offset":3,"key":%q,"reason":"future_dated","value":{"at":"2024-01-03T00:00:00.000Z"}}`, keys[0]),
		fmt.Sprintf(`{"topic":"quarantine","partition":1,"offset":0,"key":%q,"reason":"future_dated","value":{"at":"2024-01-03T00:00:00.000Z"}}`, keys[1]),
	)
	if d := compare(want, o.records); !d.equal() || o.facts != 4 {
		t.Errorf("%d facts, %v:\n%s", o.facts, d, strings.Join(d.lines, "\n"))
	}
}

// The pieces of the facts are the facts, each line once and in order, and the
// oracle that goes from border to border is the one that goes through at once.
func TestPiecesAreTheWhole(t *testing.T) {
	people, err := city.New(city.Config{Citizens: 300, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	lines, err := people.Facts().WriteFacts(&whole, 5_000)
	if err != nil {
		t.Fatal(err)
	}
	const storm = 1_234
	for _, slices := range [][2]int{{1, 1}, {3, 4}, {20, 1}} {
		numbers := pieces(lines, storm, slices[0], slices[1])
		borders, err := cut(bytes.NewReader(whole.Bytes()), numbers)
		if err != nil {
			t.Fatal(err)
		}
		last := slices[0] + slices[1]
		if numbers[slices[0]] != storm || len(numbers) != last+2 {
			t.Errorf("%v slices: cut at %v", slices, numbers)
		}
		stepwise, read := newOracle(people.Catalogue(), bytes.NewReader(whole.Bytes()), partitions), 0
		for i := range last + 1 {
			piece := whole.Bytes()[borders[i]:borders[i+1]]
			if read += bytes.Count(piece, []byte("\n")); read != numbers[i+1] {
				t.Errorf("%v slices: after piece %d there are %d lines, not %d", slices, i, read, numbers[i+1])
			}
			if err := stepwise.decide(borders[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if borders[0] != 0 || borders[last+1] != int64(whole.Len()) || read != lines {
			t.Errorf("%v slices: %v of %d bytes and %d lines", slices, borders, whole.Len(), lines)
		}
		once := newOracle(people.Catalogue(), bytes.NewReader(whole.Bytes()), partitions)
		if err := once.decide(int64(whole.Len())); err != nil {
			t.Fatal(err)
		}
		if d := compare(once.records, stepwise.records); !d.equal() || once.records.count() == 0 {
			t.Errorf("%v slices: %v in %d records", slices, d, once.records.count())
		}
	}
}

// The storm's slice ends with a tick at which the same is due to most of those
// whom nobody sees in each partition, whichever of the storms it is.
func TestStormIsOne(t *testing.T) {
	const unseen = 1_000
	people, err := city.New(city.Config{Citizens: 100, Unseen: unseen})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[int]bool{}
	for seed := uint64(0); len(lines) < len(stormDays); seed++ {
		u := &torture{city: people, random: rand.New(rand.NewPCG(seed, 0))}
		line := u.stormLine()
		if lines[line] {
			continue
		}
		lines[line] = true
		var whole bytes.Buffer
		if _, err := people.Facts().WriteFacts(&whole, line); err != nil {
			t.Fatal(err)
		}
		o := newOracle(people.Catalogue(), bytes.NewReader(whole.Bytes()), partitions)
		if err := o.decide(int64(whole.Len())); err != nil {
			t.Fatal(err)
		}
		fires := make([]int, partitions)
		for _, output := range o.lastOutputs {
			if !slices.Contains(stormTopics, output.Topic) {
				t.Fatalf("a tick leads to a record of %s", output.Topic)
			}
			fires[o.partition(*output.Key)]++
		}
		if least := slices.Min(fires); least < unseen/partitions*3/4 || o.lastAt < o.lastTick {
			t.Errorf("the tick of line %d at %s fires %v times", line, o.lastAt, fires)
		}
	}
}

// A cut finds lines of any length, and the end of a file that no newline ends.
func TestCut(t *testing.T) {
	text := strings.Repeat("x", 3<<20) + "\ny\nz"
	borders, err := cut(strings.NewReader(text), []int{0, 0, 1, 2, 3})
	if want := []int64{0, 0, 3<<20 + 1, 3<<20 + 3, 3<<20 + 4}; err != nil || !slices.Equal(borders, want) {
		t.Errorf("%v, %v; want %v", borders, err, want)
	}
	if _, err := cut(strings.NewReader(text), []int{4}); err == nil {
		t.Error("a line behind the end was found")
	}
}

// A plan has the kills that were asked for; after every round but the last no
// instance is left, and nobody is killed who does not run.
func TestPlan(t *testing.T) {
	for seed := range uint64(200) {
		for _, instances := range []int{1, 2, 3} {
			rounds := plan(rand.New(rand.NewPCG(seed, 0)), 20, instances)
			killed := 0
			for number, round := range rounds {
				type process struct {
					group  string
					number int
				}
				alive := map[process]bool{}
				for _, group := range groups {
					for i := range instances {
						alive[process{group, i}] = true
					}
				}
				for _, k := range round {
					victim := process{k.group, k.instance}
					if !alive[victim] || k.moment < 0 || k.moment >= 1 {
						t.Fatalf("seed %d: round %d: %+v", seed, number, round)
					}
					if killed++; !k.back {
						delete(alive, victim)
					}
				}
				if len(alive) > 0 && number < len(rounds)-1 {
					t.Fatalf("seed %d: %d instances are left after round %d", seed, len(alive), number)
				}
			}
			if killed != 20 {
				t.Errorf("seed %d: %d kills", seed, killed)
			}
		}
	}
}

// A program that fails names itself and its last words, no more.
func TestCommandFails(t *testing.T) {
	u := &torture{TortureOptions: TortureOptions{Program: "/bin/sh"}}
	err := u.command(t.Context(), nil, io.Discard, []string{"-c", "printf 'fir''st\\nlast words' >&2; exit 3"})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: last words") || strings.Contains(err.Error(), "first") {
		t.Errorf("%v", err)
	}
}
