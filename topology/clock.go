package topology

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
)

// TickKeys gives, partition by partition, the smallest decimal number that
// every client's default partitioner puts there: the keys of a tick's records.
func TickKeys(partitions int) []string {
	keys := make([]string, partitions)
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic(Clock)
	for number, missing := 0, partitions; missing > 0; number++ {
		key := strconv.Itoa(number)
		if p := partitioner.Partition(&kgo.Record{Key: []byte(key)}, partitions); keys[p] == "" {
			keys[p] = key
			missing--
		}
	}
	return keys
}

// RunClock writes a tick every so often, one record on every partition of the
// clock, until ctx ends. Ticks are multiples of the interval, so that two
// clocks at once say the same and do no harm. It is the only part of the
// engine that reads the wall clock.
func RunClock(ctx context.Context, client *kgo.Client, prefix string, encoders *Encoders, every time.Duration, log *slog.Logger) error {
	return runClock(ctx, client, prefix, encoders, every, log, time.Now)
}

// runClock is RunClock on a machine whose clock says now.
func runClock(ctx context.Context, client *kgo.Client, prefix string, encoders *Encoders, every time.Duration, log *slog.Logger, now func() time.Time) error {
	partitions, err := checkTopics(ctx, client, prefix, specsOf(Clock))
	if err != nil {
		return err
	}
	keys := TickKeys(partitions)
	refused := false
	for {
		at := now().Truncate(every)
		err := tick(ctx, client, prefix+Clock, keys, encoders, schemas.Instant(at.UnixMilli()))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, kerr.InvalidTimestamp):
			log.Error("the broker refuses ticks: this machine's clock is ahead of the broker's; set it by NTP", "tick", at)
			refused = true
		case err != nil:
			log.Error("a tick could not be written; the next one will be tried", "tick", at, "error", err)
			refused = true
		case refused:
			log.Info("ticks are written again", "tick", at)
			refused = false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(at.Add(every).Sub(now()), every)):
		}
	}
}

// tick writes one tick on every partition.
func tick(ctx context.Context, client *kgo.Client, topic string, keys []string, encoders *Encoders, at schemas.Instant) error {
	value := encoders.clock.Append(nil, &schemas.ClockTick{At: at})
	var records []*kgo.Record
	for partition, key := range keys {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(partition), Key: []byte(key), Value: value, Timestamp: time.UnixMilli(int64(at))})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func specsOf(names ...string) (specs []topicSpec) {
	for _, spec := range topicSpecs() {
		for _, name := range names {
			if spec.name == name {
				specs = append(specs, spec)
			}
		}
	}
	return specs
}
