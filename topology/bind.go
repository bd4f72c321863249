package topology

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/lovoo/goka"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology/store"
)

// The headers of a quarantined record; SPEC section 3.
const (
	headerReason    = "vouch-reason"
	headerError     = "vouch-error"
	headerTopic     = "vouch-topic"
	headerPartition = "vouch-partition"
	headerOffset    = "vouch-offset"
)

// binding is what binds a processor's steps to one partition. Certifier and
// timer, which have one each, alone touch a goka.Context.
type binding struct {
	prefix    string
	partition int32
	streams   map[string]goka.Stream // outputs by topic without prefix
	tally     *tally
	table     *store.Partition
	pass      pass
	scratch   []byte // a value that is emitted
}

// emit encodes a record and emits it; see send.
func emit[T any](b *binding, ctx goka.Context, topic, key string, encoder *avro.Encoder[T], record *T, options ...goka.ContextOption) {
	b.scratch = encoder.Append(b.scratch[:0], record)
	b.send(ctx, topic, key, b.scratch, options...)
}

// send emits a value, which is the caller's again afterwards; it gets the Kafka timestamp of the input in hand.
func (b *binding) send(ctx goka.Context, topic, key string, value []byte, options ...goka.ContextOption) {
	var emitted any
	if value != nil {
		emitted = value
	}
	ctx.Emit(b.streams[topic], key, emitted, options...)
	b.tally.emitted(topic)
}

// quarantine keeps an input with its bytes untouched and goes on.
func (b *binding) quarantine(ctx goka.Context, topic string, value []byte, reason certify.Refusal, why error) {
	headers := goka.Headers{
		headerReason:    []byte(reason),
		headerError:     []byte(why.Error()),
		headerTopic:     []byte(b.prefix + topic),
		headerPartition: strconv.AppendInt(nil, int64(ctx.Partition()), 10),
		headerOffset:    strconv.AppendInt(nil, ctx.Offset(), 10),
	}
	b.send(ctx, Quarantine, ctx.Key(), value, goka.WithCtxEmitHeaders(ctx.Headers().Merged(headers)))
	b.tally.quarantined(topic, reason)
}

// quarantineUnread puts a record that could not be decoded in quarantine. It
// is false for another error than that of a record.
func (b *binding) quarantineUnread(ctx goka.Context, topic string, value []byte, err error) bool {
	var unknown *avro.UnknownSchemaError
	var undecodable *avro.UndecodableError
	switch {
	case errors.As(err, &unknown):
		b.quarantine(ctx, topic, value, certify.UnknownSchema, err)
	case errors.As(err, &undecodable):
		b.quarantine(ctx, topic, value, certify.Undecodable, err)
	default:
		return false
	}
	return true
}

// errNoValue is what is said of a record without one.
var errNoValue = errors.New("the record has no value")

// registryPause is the wait between two questions to a registry that does not
// answer.
const registryPause = 100 * time.Millisecond

// decodeWaiting decodes; while the registry does not answer it waits and the
// lag grows, since no record may be judged by a registry that is down.
func decodeWaiting(ctx context.Context, bytes []byte, decode func([]byte) (any, error)) (any, error) {
	for {
		record, err := decode(bytes)
		if !errors.Is(err, avro.ErrRegistryUnavailable) {
			return record, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(registryPause):
		}
	}
}
