package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// changelog is what Kafka has of a partition: transactions, and the position
// after each.
type changelog struct {
	mu           sync.Mutex
	transactions [][]changed
}

func (c *changelog) append(transaction []changed) (next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transactions = append(c.transactions, transaction)
	return int64(len(c.transactions))
}

func (c *changelog) end() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.transactions))
}

// after gives the transactions from a position on.
func (c *changelog) after(position int64) (list []changed, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.transactions[position:]...), int64(len(c.transactions))
}

func (c *changelog) until(position int64) rows {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := rows{}
	for _, transaction := range c.transactions[:position] {
		for _, change := range transaction {
			r.put(change.key, change.value)
		}
	}
	return r
}

// transact writes a transaction as Goka and the runtime do: staged, sent to the
// changelog, sealed. Now and then one is dropped, and in no changelog.
func transact(p *Partition, log *changelog, random *rand.Rand) error {
	var transaction []changed
	for range 1 + random.IntN(4) {
		c := changed{key: fmt.Sprint(random.IntN(100))}
		if random.IntN(5) > 0 {
			filler := bytes.Repeat([]byte{byte('a' + random.IntN(26))}, 1+random.IntN(20_000))
			c.value = fmt.Appendf(nil, "%d %s", random.IntN(1000), filler)
		}
		transaction = append(transaction, c)
		if err := p.Set(c.key, bytes.Clone(c.value)); err != nil {
			return err
		}
	}
	if random.IntN(10) == 0 {
		p.Drop()
		return nil
	}
	return p.Seal(log.append(transaction))
}

// TestCrash: whenever the power fails, each partition comes back as the
// changelog up to its position, index included, and the rest of the changelog
// brings it to the end; whether all rows are written as tables, or none, or what
// more than one partition has.
func TestCrash(t *testing.T) {
	for name, tableFrom := range map[string]int64{"tables": 0, "both": 400 << 10, "memtables": tableBytesMin} {
		t.Run(name, func(t *testing.T) {
			// When Pebble's memtables reach the disk is a matter of timing: histories
			// are made until a crash has found something there.
			for history := 0; crashHistory(t, tableFrom) == 0; history++ {
				if history == 20 {
					t.Fatal("no crash found anything on the disk, so nothing was tested")
				}
			}
		})
	}
}

// crashHistory crashes one history several times, and gives the sum of the
// positions that were found on the disk.
func crashHistory(t *testing.T, tableFrom int64) (found int64) {
	const partitions, transactions, crashes = 3, 300, 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	disk := vfs.NewCrashableMem()
	config := testConfig()
	config.RowBytes = 1 << 20
	s := must(open(config, disk))
	s.tableFrom = tableFrom
	logs := make([]changelog, partitions)
	var sealing sync.WaitGroup
	for n := range logs {
		p := must(s.Partition(int32(n)))
		sealing.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for range transactions {
				ok(transact(p, &logs[n], random))
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, partitions))
	var wrecks []*vfs.MemFS
	for n := range crashes {
		// A crash comes while things go on. A tenth of the transactions is dropped.
		for logs[0].end() < int64(n*transactions/crashes*7/10) {
			time.Sleep(50 * time.Microsecond)
		}
		wrecks = append(wrecks, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[n%3], RNG: random}))
	}
	sealing.Wait()
	ok(s.Close())
	for _, wreck := range wrecks {
		found += checkWreck(t, config, wreck, logs)
	}
	if whole := checkWreck(t, config, disk, logs); whole != logs[0].end()+logs[1].end()+logs[2].end() {
		t.Errorf("after Close the store is at %d in sum, and behind the changelog", whole)
	}
	return found
}

// checkWreck opens what a crash has left, and gives the sum of the positions.
func checkWreck(t *testing.T, config Config, disk vfs.FS, logs []changelog) (found int64) {
	t.Helper()
	s := must(open(config, disk))
	defer func() { ok(s.Close()) }()
	for n := range logs {
		p := must(s.Partition(int32(n)))
		found += p.Position()
		checkPrefix(t, p, &logs[n])
		rest, next := logs[n].after(p.Position())
		ok(p.Restore(inOneBuffer(rest), next))
		checkPrefix(t, p, &logs[n])
	}
	return found
}

func checkPrefix(t *testing.T, p *Partition, log *changelog) {
	t.Helper()
	want := log.until(p.Position())
	got := rowsOf(p)
	if len(got) != len(want) {
		t.Errorf("partition %d at %d: %d rows, want %d", p.number, p.Position(), len(got), len(want))
	}
	for key, row := range want {
		if got[key] != row {
			t.Errorf("partition %d at %d: the row of %s is not that of the changelog", p.number, p.Position(), key)
		}
	}
	if got, want := entriesOf(p, nil, nil), want.entries(nil, nil); !slices.Equal(got, want) {
		t.Errorf("partition %d at %d: %d index entries are not the %d of its rows", p.number, p.Position(), len(got), len(want))
	}
}

// TestManifestCut: Pebble reads a damaged manifest up to the damage, without a
// word. That is an older whole state too, or tables are missing, and it is said.
// Which of the two depends on when Pebble compacted: histories are made until
// both were seen.
func TestManifestCut(t *testing.T) {
	older, damages := 0, 0
	for history := uint64(0); older == 0 || damages == 0; history++ {
		if history == 20 {
			t.Fatalf("%d cuts gave an older state and %d an error, so not both were tested", older, damages)
		}
		olderHere, damagesHere := cutManifest(t, rand.New(rand.NewPCG(3, history)))
		older, damages = older+olderHere, damages+damagesHere
	}
}

// cutManifest makes a history, damages its manifest at one place after the
// other, and counts what became of it.
func cutManifest(t *testing.T, random *rand.Rand) (older, damages int) {
	whole := vfs.NewMem()
	s := must(open(testConfig(), whole))
	p, logs := must(s.Partition(0)), make([]changelog, 1)
	for range 20 {
		ok(transact(p, &logs[0], random))
		ok(s.flush(p))
		s.flushMemTable()
	}
	ok(s.Close())
	for n := range 16 {
		disk := vfs.NewMem()
		must(vfs.Clone(whole, disk, "store", "store"))
		for _, name := range must(disk.List("store")) {
			if strings.HasPrefix(name, "MANIFEST") {
				text := must(disk.UnsafeGetFileDataBuffer("store/" + name))
				text[len(text)*n/16] ^= 0x55
			}
		}
		s, err := open(testConfig(), disk)
		if err != nil {
			wantError(t, err, "damaged", "remove the directory")
			damages++
			continue
		}
		ok(s.Close())
		if checkWreck(t, testConfig(), disk, logs) < logs[0].end() {
			older++
		}
	}
	return older, damages
}

// TestPartitionsSealAtOnce: partitions do not get into each other's way, with
// writes in the background and somebody asking for numbers. Its worth is with
// -race.
func TestPartitionsSealAtOnce(t *testing.T) {
	const partitions, transactions = 6, 100
	config := testConfig()
	config.RowBytes = 256 << 10
	disk := vfs.NewMem()
	s := must(open(config, disk))
	logs := make([]changelog, partitions)
	var sealing sync.WaitGroup
	for n := range logs {
		sealing.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			p := must(s.Partition(int32(n)))
			for i := range transactions {
				ok(transact(p, &logs[n], random))
				must(p.Get("7"))
				if i%50 == 49 {
					checkPrefix(t, p, &logs[n])
					ok(p.Release())
					p = must(s.Partition(int32(n)))
				}
			}
		})
	}
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				// A transaction is 80 kB at most, and one may come of each partition
				// after the limit is reached.
				if pending, most := s.Stats().PendingBytes, config.RowBytes+2*partitions*80<<10; pending < 0 || pending > most {
					t.Errorf("%d bytes are pending, more than %d", pending, most)
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
	sealing.Wait()
	close(done)
	asking.Wait()
	ok(s.Close())
	checkWreck(t, config, disk, logs)
}
