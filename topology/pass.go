package topology

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka/storage"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology/kafka"
	"github.com/vouch-engine/vouch/topology/store"
)

// passLogged is the time between two words in the log about a pass.
const passLogged = 10 * time.Second

// pass goes over all rows of a partition before its first input. It hands the
// partition a record for every key, and behind those of each transaction one
// under the partition's own key, which writes into the partition's row how far
// the pass has come: so each row is gone over exactly once, whatever is killed.
//
// The rows are those at its beginning: until it is over nothing else is
// written, and what it writes itself lies behind it.
type pass struct {
	group     string
	partition int32
	rows      *store.Partition
	own       string // the partition's own key
	log       *slog.Logger

	running atomic.Bool     // it is not over
	at      schemas.Instant // the partition's clock
	cursor  string          // the last key whose record was handed
	over    bool            // no key is behind the cursor
	given   int             // keys of the records that were handed last
	left    int             // records of them that are not processed yet
	each    storage.Iterator

	done         int // rows
	began, wrote time.Time
}

// start begins a pass, or goes on with one behind a key.
func (p *pass) start(at schemas.Instant, cursor string) {
	p.at, p.cursor = at, cursor
	p.running.Store(true)
}

// next gives the records of the next rows, none when it is over.
func (p *pass) next(most int) (records []kafka.Own, err error) {
	if !p.running.Load() {
		return nil, nil
	}
	if p.over {
		p.running.Store(false)
		p.end()
		if p.done == 0 {
			return nil, nil
		}
		p.log.Info("a pass over a partition's citizens is over", "group", p.group, "partition", p.partition, "rows", p.done, "took", time.Since(p.began).Round(time.Millisecond))
		return nil, nil
	}
	if p.each == nil {
		if err := p.open(); err != nil {
			return nil, err
		}
	}
	at := timestamp(p.at)
	for len(records) < most-1 {
		if !p.each.Next() {
			p.over = true
			break
		}
		p.cursor = string(p.each.Key())
		records = append(records, kafka.Own{Key: p.cursor, Timestamp: at})
	}
	if err := p.each.Err(); err != nil {
		return nil, err
	}
	p.given, p.left = len(records), len(records)+1
	p.done += p.given
	if now := time.Now(); now.Sub(p.wrote) > passLogged {
		p.log.Info("a pass goes over a partition's citizens", "group", p.group, "partition", p.partition, "rows", p.done)
		p.wrote = now
	}
	return append(records, kafka.Own{Key: p.own, Timestamp: at}), nil
}

func (p *pass) open() (err error) {
	p.began, p.wrote = time.Now(), time.Now()
	var from []byte
	if p.cursor != "" {
		from = append([]byte(p.cursor), 0)
	}
	p.each, err = p.rows.IteratorWithRange(from, nil)
	return err
}

// cursors says of the record in hand whether it is the one that writes down
// how far the pass has come: the last of what was handed. (A citizen may have
// the partition's own key too.)
func (p *pass) cursors() bool {
	p.left--
	return p.left == 0
}

// begun says whether records of a pass were handed.
func (p *pass) begun() bool { return p.each != nil || p.over }

// end lets go of the rows.
func (p *pass) end() {
	if p.each != nil {
		p.each.Release()
		p.each = nil
	}
}
