package benchmarks

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

const (
	// yearCitizens are those of Bozhou, at scale 1: 34.9 million records a year.
	yearCitizens    = 1_360_000
	yearCitizensMin = 1_000
)

// wholeYear measures a year of a whole city: everything that its departments send,
// late, repeated, corrected, adverse and bad records and ticks among it, lies in
// the log; first the certifier drains it, then the timer what the certifier
// passed on. The certifications are compared with those of the pure rules.
func wholeYear(ctx context.Context, b *bench, sys system) error {
	people, err := city.New(city.Config{Citizens: max(int(yearCitizens*b.Scale), yearCitizensMin), Catalogue: b.catalogue})
	if err != nil {
		return err
	}
	prefix, strike, err := b.stage(ctx, "year")
	if err != nil {
		return err
	}
	defer strike()
	b.Say("year: producing the records of %d citizens", people.Citizens())
	o := newYearOracle(people)
	records, err := b.produceYear(ctx, prefix, people, o)
	if err != nil {
		return err
	}
	valid := false
	for _, group := range []string{topology.CertifierGroup, topology.TimerGroup} {
		m := b.member(sys, prefix, "bench")
		if group == topology.TimerGroup {
			m = b.timer(prefix)
			if records, err = b.lying(ctx, prefix+topology.Schedule); err != nil {
				return err
			}
		}
		took, err := b.drainYear(ctx, m, prefix+group, records)
		if err != nil {
			return err
		}
		if group == topology.CertifierGroup {
			ids, doubled, err := b.certified(ctx, prefix)
			if err != nil {
				return err
			}
			valid = doubled == 0 && maps.Equal(ids, o.certified)
		}
		seconds, cpu, bytes := took.wall.Seconds(), took.cpu.Seconds(), disk(m.state)
		b.Say("year: %s: %d records in %.0f s, %.0f records/s, %.2f CPU-s a million, peak %d MiB, valid %v",
			group, took.records, seconds, float64(took.records)/seconds, cpu*1e6/float64(took.records), took.peak>>20, valid)
		err = b.write(Result{Name: "year", System: sys.name, Records: took.records, Seconds: &seconds, CPUSeconds: &cpu, RSSPeak: &took.peak, Disk: &bytes, Valid: valid,
			Settings: sys.with("citizens", people.Citizens(), "partitions", benchPartitions, "of", group, "certifications", len(o.certified))})
		if err != nil {
			return err
		}
		if !valid {
			return wrong("the certifications that came out are not the %d that had to", len(o.certified))
		}
	}
	return nil
}

// drainYear starts a member and ends it when nothing is left.
func (b *bench) drainYear(ctx context.Context, m member, group string, records int) (spent, error) {
	s, err := b.start(m)
	if err != nil {
		return spent{}, err
	}
	defer s.kill()
	took, err := b.awaitDrained(ctx, s, group, records)
	if err != nil {
		return spent{}, err
	}
	return took, s.stop(subjectStop)
}

// lying counts what lies in a topic, markers too, which a group passes like
// records.
func (b *bench) lying(ctx context.Context, topic string) (records int, err error) {
	ends, err := b.settledEnds(ctx, topic)
	if err != nil {
		return 0, err
	}
	for _, end := range ends[topic] {
		records += int(end)
	}
	return records, nil
}

// produceYear writes the year to its topics, and lets the oracle decide it on
// the way. It returns how many records lie there then.
func (b *bench) produceYear(ctx context.Context, prefix string, people *city.City, o *yearOracle) (records int, err error) {
	encoder, err := city.NewEncoder(ctx, avro.New(nil), prefix)
	if err != nil {
		return 0, err
	}
	keys := topology.TickKeys(benchPartitions)
	var failed error
	done := func(_ *kgo.Record, err error) {
		if err != nil && failed == nil {
			failed = err // promises are called one after the other
		}
	}
	var f city.Fact
	for facts := people.Facts(); facts.Next(&f) && ctx.Err() == nil; {
		value := encoder.Append(nil, &f)
		to := []string{f.Key}
		if f.Topic == topology.Clock {
			to = keys
		}
		for _, key := range to {
			record := &kgo.Record{Topic: prefix + f.Topic, Key: []byte(key), Value: value, Timestamp: time.UnixMilli(int64(f.At))}
			if f.NoKey && f.Topic != topology.Clock {
				record.Key = nil
			}
			b.client.Produce(ctx, record, done)
			records++
		}
		if err := o.decide(&f); err != nil {
			return records, err
		}
	}
	if err := b.client.Flush(ctx); err != nil {
		return records, err
	}
	return records, failed
}

// yearOracle decides a year by the pure rules. It keeps rows as bytes: a
// million of them are otherwise several gigabytes.
type yearOracle struct {
	rules     *certify.Rules
	rows      map[string][]byte
	clock     schemas.Instant
	certified eventIDs
	scratch   []byte
}

func newYearOracle(people *city.City) *yearOracle {
	return &yearOracle{rules: certify.New(people.Catalogue()), rows: make(map[string][]byte, people.Citizens()), clock: certify.NoTick, certified: eventIDs{}}
}

func (o *yearOracle) decide(f *city.Fact) error {
	if tick, is := f.Record.(*schemas.ClockTick); is {
		if o.rules.RefuseTick(tick, f.At) == certify.Accepted {
			o.clock, _ = certify.OnTick(o.clock, tick)
		}
		return nil
	}
	if f.Record == nil {
		return nil // no record, which goes to quarantine
	}
	row := new(certify.Row)
	if held := o.rows[f.Key]; held != nil {
		var err error
		if row, err = certify.DecodeRow(held); err != nil {
			return fmt.Errorf("decide the year: %w", err)
		}
	}
	decision, refusal := o.rules.Step(&row.Citizen, f.Key, f.Record, f.At, o.clock)
	if refusal != certify.Accepted || !decision.Changed {
		return nil
	}
	o.scratch = certify.AppendRow(o.scratch[:0], row)
	o.rows[f.Key] = bytes.Clone(o.scratch)
	for i := range decision.Completed {
		o.certified.add(decision.Completed[i].EventID)
	}
	return nil
}
