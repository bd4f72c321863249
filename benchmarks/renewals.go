package benchmarks

import (
	"encoding/hex"
	"fmt"
	"iter"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// renewals is the workload of the engine's main path, at its most expensive:
// every record changes a row, and one in six certifies somebody. Each citizen
// draws two benefits and is seen once a month, in another order every month;
// the first sight certifies, and so does the one half a year later. A tick
// passes every day.
//
// In a steady one the citizens come up one after the other instead, one every
// months sights, and between them somebody is seen again who was seen before,
// too soon to be announced again: so an equal share of the records certifies at
// any time.
type renewals struct {
	citizens int
	months   int
	daily    int // sights in a day of the records' own time, of a steady one; 0: it is not steady
}

const (
	renewalsFrom  = "2023-01-01"
	renewalsLead  = 2 // days until the first sight
	daysOfMonth   = 28
	monthsBetween = 6 // from one announcement to the next: half the cycle of both benefits
)

// renewalsKinds are the strong kinds that take turns.
var renewalsKinds = []string{"INPT_ADMIT", "RAIL_BOARD", "FACE_SELF", "OUTPT_VISIT"}

// renewalsBenefits are drawn by everybody, and do not exclude each other.
var renewalsBenefits = []string{"OLDAGE", "URRP"}

// input is one record to be produced.
type input struct {
	topic  string // without prefix
	key    string
	at     schemas.Instant // its Kafka timestamp
	record any
}

func citizenID(citizen int) string { return fmt.Sprintf("3416%014d", citizen) }

// roster gives the entries, all before the first evidence.
func (w renewals) roster() iter.Seq[input] { return w.rosterOf(0, w.citizens) }

// rosterOf are the entries of the citizens from one number to another.
func (w renewals) rosterOf(from, to int) iter.Seq[input] {
	first, _ := schemas.ParseDate(renewalsFrom)
	at := schemas.Instant(first) * schemas.Day
	return func(yield func(input) bool) {
		for i := from; i < to; i++ {
			phone, payee, amount := fmt.Sprintf("138%08d", i), fmt.Sprintf("6217%015d", i), int64(18_000)
			birth, last := first-schemas.Date(22_000+i%8_000), first-schemas.Date(300+i%60)
			for n, benefit := range renewalsBenefits {
				at := at + schemas.Instant(i*len(renewalsBenefits)+n+1)
				entry := &schemas.RosterEntry{
					EntryID: fmt.Sprintf("r%d%s", i, benefit), CitizenID: citizenID(i), Benefit: benefit, Op: schemas.Enrol, RecordedAt: at,
					EffectiveOn: first - 2000, LastCertifiedOn: &last, Region: fmt.Sprint(341600 + i%20), Phone: &phone, Payee: &payee, AmountFen: &amount, BirthOn: &birth,
				}
				if !yield(input{topology.Roster, entry.CitizenID, at, entry}) {
					return
				}
			}
		}
	}
}

// evidence gives the sights of all months, and the ticks between them.
func (w renewals) evidence(c *catalogue.Catalogue) iter.Seq[input] {
	return w.sights(c, 0, w.citizens*w.months, func(int) bool { return true })
}

// sights are the evidence from one number to another, of those citizens that
// are asked for, and the ticks between them.
func (w renewals) sights(c *catalogue.Catalogue, from, to int, wanted func(citizen int) bool) iter.Seq[input] {
	return func(yield func(input) bool) {
		ticked := schemas.Instant(0)
		if from > 0 {
			ticked = w.at(from-1) / schemas.Day
		}
		for i := from; i < to; i++ {
			at := w.at(i)
			if day := at / schemas.Day; day > ticked {
				ticked = day
				if !yield(input{topology.Clock, "", at - 1, &schemas.ClockTick{At: day * schemas.Day}}) {
					return
				}
			}
			citizen := w.citizen(i)
			if !wanted(citizen) {
				continue
			}
			kind := renewalsKinds[i%len(renewalsKinds)]
			index, _ := c.KindIndex(kind)
			e := &schemas.Evidence{
				EvidenceID: fmt.Sprintf("e%d", i), CitizenID: citizenID(citizen), Kind: kind, Source: c.Kinds[index].Source, Op: schemas.Assert,
				OccurredAt: at - schemas.Instant(i%7)*schemas.Minute, RecordedAt: at,
			}
			if !yield(input{topology.Evidence, e.CitizenID, at, e}) {
				return
			}
		}
	}
}

// at is when the i-th record is recorded.
func (w renewals) at(i int) schemas.Instant {
	first, _ := schemas.ParseDate(renewalsFrom)
	start := schemas.Instant(first+renewalsLead) * schemas.Day
	if w.daily > 0 {
		return start + schemas.Instant(i)*schemas.Day/schemas.Instant(w.daily)
	}
	step := max(schemas.Instant(30*w.months)*schemas.Day/schemas.Instant(w.citizens*w.months), 1)
	return start + schemas.Instant(i)*step
}

// citizen is who is seen in the i-th record: unless it is steady everybody once a
// month, in an order that differs from month to month.
func (w renewals) citizen(i int) int {
	if w.daily > 0 {
		known := i/w.months + 1
		if i%w.months == 0 {
			return known - 1
		}
		return int(uint64(i) * 0x9E3779B97F4A7C15 >> 32 % uint64(known)) // as good as at random
	}
	month, place := i/w.citizens, i%w.citizens
	return (place*7_919 + month*104_729) % w.citizens // 7919 is a prime that divides no city
}

// eventIDs are the ids of events, which are 16 bytes in hexadecimal digits.
type eventIDs map[[16]byte]struct{}

// add says whether an id is new.
func (ids eventIDs) add(id string) bool {
	var raw [16]byte
	if n, err := hex.Decode(raw[:], []byte(id)); err != nil || n != len(raw) {
		panic(fmt.Sprintf("benchmarks: %q is no event id", id))
	}
	_, known := ids[raw]
	ids[raw] = struct{}{}
	return !known
}

// expectedAtOnce is of how many citizens the rows are in memory at a time.
const expectedAtOnce = 200_000

// expected folds the pure rules over the facts and gives the ids of all
// certifications that must come out.
func (w renewals) expected(c *catalogue.Catalogue) eventIDs {
	return w.expectedOf(c, w.citizens*w.months)
}

// expectedOf is expected after the first sights only.
func (w renewals) expectedOf(c *catalogue.Catalogue, sights int) eventIDs {
	return w.expectedIn(c, sights, expectedAtOnce)
}

// expectedIn is expectedOf, for so many citizens at a time.
func (w renewals) expectedIn(c *catalogue.Catalogue, sights, atOnce int) eventIDs {
	rules, ids := certify.New(c), eventIDs{}
	for from := 0; from < w.citizens; from += atOnce {
		rows, clock := map[string]*certify.Citizen{}, certify.NoTick
		to := min(from+atOnce, w.citizens)
		for _, part := range []iter.Seq[input]{w.rosterOf(from, to), w.sights(c, 0, sights, func(citizen int) bool { return from <= citizen && citizen < to })} {
			for in := range part {
				if tick, is := in.record.(*schemas.ClockTick); is {
					clock, _ = certify.OnTick(clock, tick)
					continue
				}
				row := rows[in.key]
				if row == nil {
					row = new(certify.Citizen)
					rows[in.key] = row
				}
				decision, refusal := rules.Step(row, in.key, in.record, in.at, clock)
				if refusal != certify.Accepted {
					panic("benchmarks: the workload holds a record that is refused: " + string(refusal))
				}
				for _, completed := range decision.Completed {
					ids.add(completed.EventID)
				}
			}
		}
	}
	return ids
}

// encoder turns inputs into bytes as departments would send them, and schedule
// entries as the certifier does.
type encoder struct {
	roster   *avro.Encoder[schemas.RosterEntry]
	evidence *avro.Encoder[schemas.Evidence]
	clock    *avro.Encoder[schemas.ClockTick]
	schedule *avro.Encoder[schemas.ScheduleEntry]
}

func newEncoder() encoder {
	return encoder{
		avro.NewInternalEncoder[schemas.RosterEntry](), avro.NewInternalEncoder[schemas.Evidence](), avro.NewInternalEncoder[schemas.ClockTick](),
		avro.NewInternalEncoder[schemas.ScheduleEntry](),
	}
}

func (e encoder) value(record any) []byte {
	switch record := record.(type) {
	case *schemas.RosterEntry:
		return e.roster.Append(nil, record)
	case *schemas.Evidence:
		return e.evidence.Append(nil, record)
	case *schemas.ScheduleEntry:
		return e.schedule.Append(nil, record)
	default:
		return e.clock.Append(nil, record.(*schemas.ClockTick))
	}
}
