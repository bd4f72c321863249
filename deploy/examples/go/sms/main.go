// Command sms shows how an SMS sender uses vouch: it reads what citizens are to
// be told and hands it to a gateway, once each, at a rate, and never at night.
//
//	sms --brokers localhost:9092 --schemas schemas --gateway gateway.tsv --memory sent.ids
//
// It reads certification-completed, certification-revoked and expiry-reminder.
// visit-requested is for the staff who visit, not for the citizen.
//
// Law: whatever is killed when, the gateway sends each event once. Kafka gives a
// group every record at least once; what it gives twice is known by its event_id,
// here by the memory, and at the gateway by the key that goes with each message.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // a host without time zones must not wake anybody

	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/department/records"
)

// options are what the command line says.
type options struct {
	brokers, prefix, registry, schemas, group string
	gateway, memory                           string
	quiet                                     quietHours
	rate                                      int
	language                                  string
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "sms: %v; see sms -h\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "sms: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(arguments []string) (o options, err error) {
	flags := flag.NewFlagSet("sms", flag.ExitOnError)
	var quiet, zone string
	flags.StringVar(&o.brokers, "brokers", "", "Kafka brokers, host:port, separated by commas")
	flags.StringVar(&o.prefix, "prefix", "vouch.", "stands before the name of every topic")
	flags.StringVar(&o.registry, "registry", "", "URL of the schema registry, if the engine has one")
	flags.StringVar(&o.schemas, "schemas", "schemas", "directory of the .avsc files, as `vouch schemas show` prints them")
	flags.StringVar(&o.group, "group", "sms", "consumer group, the same after a restart")
	flags.StringVar(&o.gateway, "gateway", "gateway.tsv", "the file that stands for the gateway: a line a message")
	flags.StringVar(&o.memory, "memory", "sent.ids", "the file that remembers which events were sent, the same after a restart")
	flags.StringVar(&quiet, "quiet", "21:00-08:00", "when nothing is sent, on the wall clock of the zone")
	flags.StringVar(&zone, "zone", "Asia/Shanghai", "zone of the quiet hours")
	flags.IntVar(&o.rate, "rate", 50, "messages a second, at most")
	flags.StringVar(&o.language, "language", "zh", "zh or en")
	_ = flags.Parse(arguments) // it exits by itself
	if o.quiet, err = parseQuietHours(quiet, zone); err != nil {
		return o, err
	}
	_, spoken := texts[o.language]
	switch {
	case o.brokers == "":
		return o, errors.New("--brokers is needed")
	case o.rate < 1 || o.rate > rateMax:
		return o, fmt.Errorf("--rate %d: must be from 1 to %d", o.rate, rateMax)
	case !spoken:
		return o, fmt.Errorf("--language %s: must be zh or en", o.language)
	}
	return o, nil
}

// run sends by day and waits by night, until ctx ends.
func run(ctx context.Context, o options) (err error) {
	reader, err := records.NewReader(o.schemas, o.registry)
	if err != nil {
		return err
	}
	remembered, err := openMemory(o.memory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remembered.close()) }()
	gate, err := openFileGateway(o.gateway)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.close()) }()
	s := &sender{reader: reader, gateway: gate, memory: remembered, quiet: o.quiet, texts: texts[o.language], pace: newPace(o.rate), now: time.Now, sleep: sleep}
	for ctx.Err() == nil {
		if night := o.quiet.left(time.Now()); night > 0 {
			fmt.Fprintf(os.Stderr, "sms: quiet hours: nothing is sent before %s\n", time.Now().Add(night).In(o.quiet.zone).Format(time.TimeOnly))
			sleep(ctx, min(night, nightSliceMax))
			continue
		}
		if err := o.consume(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// The limits of consuming.
const (
	// nightSliceMax is the longest sleep in one piece, since a wall clock may be
	// put right in the night.
	nightSliceMax = 15 * time.Minute
	// sessionTimeout is how long the partitions of a sender that was killed wait.
	sessionTimeout = 10 * time.Second
	// pollTimeout is how long a poll waits for records, and so how late the
	// beginning of the night may be seen by a sender that has nothing to send.
	pollTimeout = time.Second
	// commitTimeout bounds a commit; one that fails costs a second reading, not a
	// second message.
	commitTimeout = 10 * time.Second
)

// consume joins the group and sends until the night begins or ctx ends; then it
// leaves. A sender that waits through the night as a member would hold its
// partitions, or lose them in the middle of a batch; one that has left reads on in the
// morning from what is committed, with nothing in hand.
func (o options) consume(ctx context.Context, s *sender) error {
	// What a production program adds here: kgo.DialTLS, kgo.SASL.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.ConsumerGroup(o.group),
		kgo.ConsumeTopics(o.prefix+completed, o.prefix+revoked, o.prefix+reminder),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // a new group tells everybody what was decided so far
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),      // a transaction that fails was never said
		kgo.DisableAutoCommit(),                           // committed is what was sent, not what was fetched
		kgo.BlockRebalanceOnPoll(),                        // no partition leaves in the middle of a turn
		kgo.SessionTimeout(sessionTimeout),
	)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", o.brokers, err)
	}
	defer client.CloseAllowingRebalance()
	for more := true; more && ctx.Err() == nil && o.quiet.left(time.Now()) == 0; {
		if more, err = o.turn(ctx, client, s); err != nil {
			return err
		}
	}
	return nil
}

// consumer is what a turn needs of *kgo.Client.
type consumer interface {
	PollRecords(ctx context.Context, max int) kgo.Fetches
	CommitRecords(ctx context.Context, records ...*kgo.Record) error
	AllowRebalance()
}

// turn polls no more than goes out in about a second, sends it, and commits it
// once the memory of it is on the disk. There are no more turns after one that
// broke off: this client has passed over records that were not sent.
func (o options) turn(ctx context.Context, client consumer, s *sender) (more bool, err error) {
	waiting, stop := context.WithTimeout(ctx, pollTimeout)
	defer stop()
	fetches := client.PollRecords(waiting, o.rate)
	defer client.AllowRebalance()
	for _, failed := range fetches.Errors() {
		if !errors.Is(failed.Err, context.DeadlineExceeded) && !errors.Is(failed.Err, context.Canceled) {
			return false, fmt.Errorf("read %s, partition %d: %w", failed.Topic, failed.Partition, failed.Err)
		}
	}
	var done []*kgo.Record
	for _, record := range fetches.Records() {
		err := s.take(ctx, strings.TrimPrefix(record.Topic, o.prefix), record.Value)
		if errors.Is(err, errNight) || errors.Is(err, context.Canceled) {
			return false, commit(ctx, client, s, done)
		}
		if err != nil { // what was sent is in the memory
			return false, fmt.Errorf("%s, partition %d, offset %d: %w", record.Topic, record.Partition, record.Offset, err)
		}
		done = append(done, record)
	}
	return true, commit(ctx, client, s, done)
}

// commit commits records that need not be read again.
func commit(ctx context.Context, client consumer, s *sender, done []*kgo.Record) error {
	if len(done) == 0 {
		return nil
	}
	if err := s.memory.sync(); err != nil {
		return err
	}
	committing, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	if err := client.CommitRecords(committing, done...); err != nil {
		fmt.Fprintf(os.Stderr, "sms: the offsets are not committed, so that some records will be read again: %v\n", err)
	}
	fmt.Fprintf(os.Stderr, "sms: %v\n", s.counts)
	return nil
}

// sleep waits until a time has passed or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
