// Command payroll shows how a payment system uses vouch: on a pay day it waits
// until standing is complete, reads it as a table and writes the pay list.
//
//	payroll --brokers localhost:9092 --schemas schemas --pay-day 2023-07-15 --out pay-list.csv
//
// Law: nobody is paid by a standing that is older than the pay day. A person in
// no standing draws nothing and is on no list.
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
	_ "time/tzdata" // a host without time zones must not move the pay day

	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/department/records"
)

// options are what the command line says.
type options struct {
	brokers, prefix, registry, schemas string
	vouch                              string
	start                              time.Time // of the pay day
	patience                           time.Duration
	out                                string
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "payroll: %v; see payroll -h\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "payroll: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(arguments []string) (o options, err error) {
	flags := flag.NewFlagSet("payroll", flag.ExitOnError)
	var day, zone string
	flags.StringVar(&o.brokers, "brokers", "", "Kafka brokers, host:port, separated by commas")
	flags.StringVar(&o.prefix, "prefix", "vouch.", "stands before the name of every topic")
	flags.StringVar(&o.registry, "registry", "", "URL of the schema registry, if the engine has one")
	flags.StringVar(&o.schemas, "schemas", "schemas", "directory of the .avsc files, as `vouch schemas show` prints them")
	flags.StringVar(&o.vouch, "vouch", "vouch", "the program whose status says how far standing is complete")
	flags.StringVar(&day, "pay-day", "", "the day for which is paid, YYYY-MM-DD")
	flags.StringVar(&zone, "zone", "Asia/Shanghai", "where the pay day begins at midnight")
	flags.DurationVar(&o.patience, "patience", 12*time.Hour, "how long to wait for the pay day; then it fails")
	flags.StringVar(&o.out, "out", "pay-list.csv", "the pay list to write")
	_ = flags.Parse(arguments) // it exits by itself
	if o.brokers == "" || day == "" {
		return o, errors.New("--brokers and --pay-day are needed")
	}
	in, err := time.LoadLocation(zone)
	if err != nil {
		return o, fmt.Errorf("--zone %s: %w", zone, err)
	}
	if o.start, err = time.ParseInLocation(time.DateOnly, day, in); err != nil {
		return o, fmt.Errorf("--pay-day %s: must be a day, such as 2023-07-15", day)
	}
	return o, nil
}

// run is a pay run. The order is the point: whatever is read before standing is
// complete may lack the lapse of somebody who must not be paid.
func run(ctx context.Context, o options) error {
	reader, err := records.NewReader(o.schemas, o.registry)
	if err != nil {
		return err
	}
	waiting, stop := context.WithTimeout(ctx, o.patience)
	defer stop()
	if err := await(waiting, o.start, o.status, askAgain); err != nil {
		return err
	}
	// What a production program adds here: kgo.DialTLS, kgo.SASL.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // a transaction that fails was never said
		kgo.KeepControlRecords(),                     // the end of a partition may be one
	)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", o.brokers, err)
	}
	defer client.Close()
	table, err := readStanding(ctx, client, reader, o.prefix+"standing")
	if err != nil {
		return err
	}
	list := payList(table)
	if err := writeList(o.out, list); err != nil {
		return err
	}
	paid := 0
	for _, line := range list {
		if line.pays {
			paid++
		}
	}
	fmt.Fprintf(os.Stderr, "payroll: %d benefits of %d citizens: %d are paid, %d are withheld\n", len(list), len(table), paid, len(list)-paid)
	return nil
}
