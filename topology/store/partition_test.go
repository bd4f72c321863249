package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkPartition asks what the state of one record costs: reading a row,
// writing it, and its share of a transaction and of the write to Pebble.
//
//	100,000 citizens in 12 partitions, rows of 600 bytes, keys at random;
//	a transaction of 12,000 records: Get, Set, at its end Seal of all partitions
func BenchmarkPartition(b *testing.B) {
	config := testConfig()
	config.Directory, config.RowBytes, config.Index = b.TempDir(), 0, nil
	b.ReportAllocs()
	churn(b, config, 100_000, b.N)
}

// BenchmarkPartitionIndexed is the same with an index of one entry a row, which
// changes with each write.
func BenchmarkPartitionIndexed(b *testing.B) {
	config := testConfig()
	config.Directory, config.RowBytes = b.TempDir(), 0
	config.Index = func(_ string, row []byte, add func([]byte)) error {
		add(row[:8])
		return nil
	}
	b.ReportAllocs()
	churn(b, config, 100_000, b.N)
}

// BenchmarkRestore asks how fast a lost directory comes back: rows of 300 bytes
// of 100,000 keys, 10,000 a call.
func BenchmarkRestore(b *testing.B) {
	config := testConfig()
	config.Directory, config.RowBytes, config.Index = b.TempDir(), 0, nil
	s := must(Open(config))
	p := must(s.Partition(0))
	batch := make([]changed, 10_000)
	b.SetBytes(300)
	b.ResetTimer()
	for from := 0; from < b.N; from += len(batch) {
		batch = batch[:min(len(batch), b.N-from)]
		for n := range batch {
			batch[n] = changed{fmt.Sprintf("%018d", (from+n)%100_000), make([]byte, 300)}
		}
		ok(p.Restore(inOneBuffer(batch), int64(from+len(batch))))
	}
	ok(s.Close())
	if p.Position() != int64(b.N) {
		b.Errorf("restored up to %d of %d", p.Position(), b.N)
	}
}

// TestChurn runs the benchmark's work small, with memory that overflows.
func TestChurn(t *testing.T) {
	config := testConfig()
	config.Directory, config.RowBytes, config.Index = t.TempDir(), 1<<20, nil
	churn(t, config, 5_000, 50_000)
}

// churn counts in each row how often it was written, and checks the sum.
func churn(t testing.TB, config Config, citizens, records int) {
	const partitions, transaction, rowBytes = 12, 12_000, 600
	s := must(Open(config))
	var all [partitions]*Partition
	for n := range all {
		all[n] = must(s.Partition(int32(n)))
	}
	keys := make([]string, citizens)
	for n := range keys {
		keys[n] = fmt.Sprintf("%018d", n)
	}
	random := rand.New(rand.NewPCG(1, 2))
	if b, is := t.(*testing.B); is {
		b.ResetTimer()
	}
	for n := range records {
		citizen := random.IntN(citizens)
		p := all[citizen%partitions]
		old := must(p.Get(keys[citizen]))
		row := make([]byte, rowBytes)
		copy(row, old)
		for digit := 0; digit < 8; digit++ { // count, in bytes that the index may have
			if row[digit]++; row[digit] != 0 {
				break
			}
		}
		ok(p.Set(keys[citizen], row))
		if n%transaction == transaction-1 || n == records-1 {
			for _, p := range all {
				ok(p.Seal(int64(n + 1)))
			}
		}
	}
	if b, is := t.(*testing.B); is {
		b.StopTimer()
	}
	written := 0
	for _, p := range all {
		for _, row := range rowsOf(p) {
			for digit := 7; digit >= 0; digit-- {
				written += int(row[digit]) << (8 * digit)
			}
		}
	}
	ok(s.Close())
	if written != records {
		t.Errorf("the rows have counted %d records of %d", written, records)
	}
}

// TestIteratorOutlivesSeal: an iterator gives a row that was staged as it was,
// whatever is staged after the Seal in the same memory.
func TestIteratorOutlivesSeal(t *testing.T) {
	config := testConfig()
	config.Directory, config.Index = t.TempDir(), nil
	s := must(Open(config))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	ok(p.Set("a", []byte("first")))
	rows := must(p.Iterator())
	defer rows.Release()
	ok(p.Seal(1))
	ok(p.Set("b", []byte("other")))
	same(t, "a row", rows.Next(), true)
	same(t, "its value", string(must(rows.Value())), "first")
}
