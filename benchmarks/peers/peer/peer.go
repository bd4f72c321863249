// Package peer is what the Go peers of the engine share: their command line,
// the wire formats and the pure rules, which are the engine's own.
package peer

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// Options are those that the harness gives to every peer.
type Options struct {
	Brokers   []string
	Prefix    string
	State     string // directory
	Catalogue *catalogue.Catalogue
}

// Group is the consumer group in whose positions the harness reads progress.
func (o Options) Group() string { return o.Prefix + topology.CertifierGroup }

// Inputs are the topics that are read.
func (o Options) Inputs() (topics []string) {
	for _, topic := range topology.Inputs {
		topics = append(topics, o.Prefix+topic)
	}
	return topics
}

// Main runs a peer until SIGTERM.
func Main(run func(context.Context, Options) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	o, err := options()
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func options() (o Options, err error) {
	brokers := flag.String("brokers", "", "host:port, separated by commas")
	file := flag.String("catalogue", "", "catalogue file")
	flag.StringVar(&o.Prefix, "prefix", "", "of topics, groups and transactional ids")
	flag.StringVar(&o.State, "state", "", "directory of the local state")
	flag.Parse()
	if *brokers == "" || *file == "" || o.State == "" {
		return o, fmt.Errorf("--brokers, --state and --catalogue are needed")
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return o, err
	}
	o.Brokers = strings.Split(*brokers, ",")
	o.Catalogue, err = catalogue.Load(*file, text)
	return o, err
}

// Ready tells the harness that records are processed from now on.
func Ready() { fmt.Println("ready") }

// Worker decides the records of one partition.
type Worker struct {
	Clock     schemas.Instant
	catalogue *catalogue.Catalogue
	rules     *certify.Rules
	evidence  schemas.Evidence // used again for every record

	readRoster   *avro.Decoder[schemas.RosterEntry]
	readEvidence *avro.Decoder[schemas.Evidence]
	readPayout   *avro.Decoder[schemas.Payout]
	readTick     *avro.Decoder[schemas.ClockTick]
	alert        *avro.Encoder[schemas.Alert]
	completed    *avro.Encoder[schemas.CertificationCompleted]
	revoked      *avro.Encoder[schemas.CertificationRevoked]
	schedule     *avro.Encoder[schemas.ScheduleEntry]
	claim        *avro.Encoder[schemas.PayeeClaim]
}

// NewWorker makes one that has seen no tick.
func NewWorker(c *catalogue.Catalogue) *Worker {
	codec := avro.New(nil)
	return &Worker{
		Clock: certify.NoTick, catalogue: c, rules: certify.New(c),
		readRoster: avro.NewDecoder[schemas.RosterEntry](codec), readEvidence: avro.NewDecoder[schemas.Evidence](codec),
		readPayout: avro.NewDecoder[schemas.Payout](codec), readTick: avro.NewDecoder[schemas.ClockTick](codec),
		alert: avro.NewInternalEncoder[schemas.Alert](), completed: avro.NewInternalEncoder[schemas.CertificationCompleted](),
		revoked: avro.NewInternalEncoder[schemas.CertificationRevoked](), schedule: avro.NewInternalEncoder[schemas.ScheduleEntry](),
		claim: avro.NewInternalEncoder[schemas.PayeeClaim](),
	}
}

// Emit takes an output; topic is without prefix.
type Emit func(topic, key string, value []byte)

// Do decides one record of a topic (without prefix) and says whether its row
// has changed, which for a tick is the row of its own key.
func (w *Worker) Do(ctx context.Context, topic, key string, value []byte, at schemas.Instant, row *certify.Row, emit Emit) (changed bool, err error) {
	record, err := w.decode(ctx, topic, value)
	if err != nil {
		return false, fmt.Errorf("decode a record of %s: %w", topic, err)
	}
	if tick, is := record.(*schemas.ClockTick); is {
		clock, count := certify.OnTick(w.Clock, tick)
		if count != certify.Applied {
			return false, nil
		}
		w.Clock = clock
		row.Partition = &certify.Partition{Clock: clock, CatalogueVersion: w.catalogue.Version, CatalogueHash: w.catalogue.Hash()}
		emit(topology.Schedule, key, value)
		return true, nil
	}
	decision, refusal := w.rules.Step(&row.Citizen, key, record, at, w.Clock)
	if refusal != certify.Accepted {
		return false, fmt.Errorf("a record of %s is refused, which no workload holds: %s", topic, refusal)
	}
	w.emit(key, &decision, emit)
	return decision.Changed, nil
}

func (w *Worker) decode(ctx context.Context, topic string, value []byte) (any, error) {
	switch topic {
	case topology.Evidence:
		return &w.evidence, w.readEvidence.Decode(ctx, value, &w.evidence)
	case topology.Roster:
		entry := new(schemas.RosterEntry) // enters the row whole
		return entry, w.readRoster.Decode(ctx, value, entry)
	case topology.Payout:
		payout := new(schemas.Payout)
		return payout, w.readPayout.Decode(ctx, value, payout)
	default:
		tick := new(schemas.ClockTick)
		return tick, w.readTick.Decode(ctx, value, tick)
	}
}

func (w *Worker) emit(key string, d *certify.Decision, emit Emit) {
	for i := range d.Alerts {
		emit(topology.Alert, key, w.alert.Append(nil, &d.Alerts[i]))
	}
	for i := range d.Completed {
		emit(topology.CertificationCompleted, key, w.completed.Append(nil, &d.Completed[i]))
	}
	for i := range d.Revoked {
		emit(topology.CertificationRevoked, key, w.revoked.Append(nil, &d.Revoked[i]))
	}
	for i := range d.Claims {
		emit(topology.Payee, d.Claims[i].Payee, w.claim.Append(nil, &d.Claims[i]))
	}
	if d.Schedule != nil {
		emit(topology.Schedule, key, w.schedule.Append(nil, d.Schedule))
	}
}
