package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// The store of a timer: rows that fall due at some minutes of a year.
const (
	duePartitions = 12
	dueEntries    = 6 // of a row
	dueMinutes    = 365 * 24 * 60
	dueRowBytes   = 250
	dueRound      = 4000 // entries that are scanned and whose rows are read at once
	dueSealed     = 12_000
)

// dueConfig has an index over the minutes that stand in front of a row.
func dueConfig(directory string) Config {
	config := testConfig()
	config.Directory, config.RowBytes, config.CacheBytes = directory, 0, 0
	config.Index = func(key string, row []byte, add func([]byte)) error {
		var room [64]byte
		for n := range dueEntries {
			add(append(append(append(room[:0], row[8*n:8*n+8]...), key...), 0, 1))
		}
		return nil
	}
	return config
}

// dueKey spreads the keys, so that rows come in no order.
func dueKey(n int) string { return fmt.Sprintf("%018d", uint64(n)*0x9E3779B97F4A7C15%1e18) }

// dueRow draws its minutes in [from, to). A third of it is alike in all rows.
func dueRow(random *rand.Rand, from, to int) []byte {
	row := make([]byte, dueRowBytes)
	for n := range dueEntries {
		binary.BigEndian.PutUint64(row[8*n:], uint64(from+random.IntN(to-from)))
	}
	for at := 8 * dueEntries; at < dueRowBytes*2/3; at += 4 {
		binary.BigEndian.PutUint32(row[at:], random.Uint32())
	}
	copy(row[dueRowBytes*2/3+4:], "pension urban visit clinic metro police bank counter registry ward street household")
	return row
}

func minute(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// dueStore is an open store and its partitions.
type dueStore struct {
	*Store
	all      [duePartitions]*Partition
	random   *rand.Rand
	position int64
}

func openDue(directory string) *dueStore {
	d := &dueStore{Store: must(Open(dueConfig(directory))), random: rand.New(rand.NewPCG(1, 2))}
	for n := range d.all {
		d.all[n] = must(d.Partition(int32(n)))
	}
	return d
}

// fill writes so many rows that fall due in [from, to).
func (d *dueStore) fill(rows, from, to int) {
	for n := range rows {
		ok(d.all[n%duePartitions].Set(dueKey(n), dueRow(d.random, from, to)))
		if n%dueSealed == dueSealed-1 {
			d.seal()
		}
	}
	d.seal()
}

func (d *dueStore) seal() {
	d.position++
	for _, p := range d.all {
		ok(p.Seal(d.position))
	}
}

// written puts what is pending into Pebble's tables, and waits until they are
// at rest.
func (d *dueStore) written() {
	ok(d.flush(d.all[:]...))
	d.flushMemTable()
	for rest := 0; rest < 3; rest++ {
		if d.db.Metrics().Compact.NumInProgress > 0 {
			rest = 0
		}
		time.Sleep(sublevelsPause)
	}
}

// usedCPU is what this process has used so far.
func usedCPU() time.Duration {
	var u syscall.Rusage
	ok(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDue asks what the state of a timer costs, in CPU microseconds.
//
//	b.N citizens in 12 partitions, rows of 250 bytes with six entries each, keys
//	at random: all are written, then fired in rounds of 4,000, some 100,000
//	entries, their rows read one by one and, of the next round, together; then
//	an hour of ticks comes, each after one new row a partition
//
// Compare a million with -benchtime 1000000x.
func BenchmarkDue(b *testing.B) {
	runDue(b, b.N, func(name string, spent time.Duration, things int) {
		b.ReportMetric(float64(spent.Nanoseconds())/1e3/float64(max(things, 1)), "CPU-µs/"+name)
	})
}

// TestDue runs the benchmark's work small.
func TestDue(t *testing.T) { runDue(t, 30_000, func(string, time.Duration, int) {}) }

func runDue(t testing.TB, rows int, report func(name string, spent time.Duration, things int)) {
	d := openDue(t.TempDir())
	begin := usedCPU()
	d.fill(rows, 0, dueMinutes)
	d.written()
	report("row-written", usedCPU()-begin, rows)
	var spent [2]time.Duration
	var read [2]int
	for round := range 2 * duePartitions {
		var keys []string
		p := d.all[round/2]
		ok(p.Scan(minute(round*dueMinutes/30), minute(dueMinutes), func(entry []byte) bool {
			keys = append(keys, string(entry[8:len(entry)-2]))
			return len(keys) < dueRound
		}))
		many := round % 2
		begin = usedCPU()
		for _, row := range readDue(p, keys, many == 1) {
			if len(row) != dueRowBytes {
				t.Fatalf("a row of the round has %d bytes", len(row))
			}
		}
		spent[many] += usedCPU() - begin
		read[many] += len(keys)
	}
	report("row-read", spent[0], read[0])
	report("row-read-together", spent[1], read[1])
	begin = usedCPU()
	found := d.hour(t)
	report("idle-tick", usedCPU()-begin, 60*duePartitions)
	if found != 0 || rows > 0 && read[0] == 0 {
		t.Errorf("%d rows are read, and %d entries found after the end of the year", read[0], found)
	}
	ok(d.Close())
}

func readDue(p *Partition, keys []string, many bool) (rows [][]byte) {
	if many {
		return must(p.GetMany(keys))
	}
	for _, key := range keys {
		rows = append(rows, must(p.Get(key)))
	}
	return rows
}

// hour scans the minutes of an hour after the year, in which nothing is due.
func (d *dueStore) hour(t testing.TB) (found int) {
	for n := range 60 {
		for _, p := range d.all {
			ok(p.Set(dueKey(n), dueRow(d.random, 2*dueMinutes, 3*dueMinutes)))
			ok(p.Seal(d.position + int64(n)))
			ok(p.Scan(minute(dueMinutes+n), minute(dueMinutes+n+1), func([]byte) bool { found++; return true }))
		}
	}
	return found
}

// fired gives stores in which many entries have fired before dueMinutes, or
// none, and what became of their rows since.
var fired = []struct {
	name string
	fire func(d *dueStore, rows int)
}{
	{"nothing fired", func(d *dueStore, rows int) { d.fill(rows, 2*dueMinutes, 3*dueMinutes) }},
	{"fired", func(d *dueStore, rows int) { d.fill(rows, 0, dueMinutes) }},
	{"rewritten", func(d *dueStore, rows int) {
		d.fill(rows, 0, dueMinutes)
		d.written()
		d.fill(rows, 2*dueMinutes, 3*dueMinutes)
	}},
	{"deleted", func(d *dueStore, rows int) {
		d.fill(rows, 0, dueMinutes)
		d.written()
		for n := range rows {
			ok(d.all[n%duePartitions].Delete(dueKey(n)))
		}
		d.seal()
	}},
}

// TestFired: what has fired is not looked at again, whether its row is still
// there or not, before and after a restart.
func TestFired(t *testing.T) {
	for _, c := range fired {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			d := openDue(directory)
			c.fire(d, 6000)
			d.written()
			d.checkSeek(t)
			ok(d.Close())
			d = openDue(directory)
			d.checkSeek(t)
			ok(d.Close())
		})
	}
}

// checkSeek counts what Pebble goes over to find that nothing is due next.
func (d *dueStore) checkSeek(t *testing.T) {
	t.Helper()
	for _, p := range d.all {
		next := must(p.index(minute(dueMinutes), minute(2*dueMinutes)))
		if next.First() {
			t.Error("an entry is found where none is")
		}
		if seen := next.Stats().InternalStats.PointCount; seen > 0 {
			t.Errorf("partition %d: %d old entries are gone over", p.number, seen)
		}
		ok(next.Close())
	}
}

// BenchmarkFired asks whether the next tick is slower after a million entries
// have fired: scans of a minute in which nothing is due.
func BenchmarkFired(b *testing.B) {
	for _, c := range fired {
		for _, reopened := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s,reopened=%v", c.name, reopened), func(b *testing.B) {
				directory := b.TempDir()
				d := openDue(directory)
				c.fire(d, 1_000_000/dueEntries)
				d.written()
				var first time.Duration
				if reopened {
					ok(d.Close())
					begin := time.Now()
					d = openDue(directory)
					ok(d.all[0].Scan(minute(dueMinutes), minute(dueMinutes+1), func([]byte) bool { return true }))
					first = time.Since(begin)
				}
				for n := 0; b.Loop(); n++ {
					at := dueMinutes + n/duePartitions%dueMinutes
					ok(d.all[n%duePartitions].Scan(minute(at), minute(at+1), func([]byte) bool { return true }))
				}
				b.ReportMetric(float64(first.Milliseconds()), "ms-to-first-scan")
				ok(d.Close())
			})
		}
	}
}
