package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Row is one row of a table as its changelog holds it. A nil Value deletes
// the key.
type Row struct{ Key, Value []byte }

// Table is the local state of one partition. Goka writes it through the
// storage that the caller builds; the runtime decides what becomes of the
// writes. A table is called by one goroutine at a time.
type Table interface {
	// Position is the changelog offset up to which, exclusive, the table holds
	// everything that was committed; 0 for a table that holds nothing.
	Position() int64
	// Empty says whether there is no row at all.
	Empty() (bool, error)
	// Restore applies committed changelog rows; next is the position
	// afterwards. The rows are the runtime's again when it returns.
	Restore(rows []Row, next int64) error
	// Staged calls f for every row that was written in the open transaction,
	// the newest version only; a nil value means deleted. The value must not
	// change until Seal or Drop.
	Staged(f func(key string, value []byte) error) error
	// Seal says that the staged rows are committed; next is the position
	// afterwards. It is only called if there were some.
	Seal(next int64) error
	// Drop forgets the staged rows.
	Drop()
}

// Own is a record that a partition hands to itself. What is emitted in its
// step gets its timestamp.
type Own struct {
	Key       string
	Timestamp time.Time
}

// Config says what Run runs. Brokers, Group, Inputs, TableTopic, Open, Close
// and Processor are needed, the zero value of everything else is ready.
type Config struct {
	Brokers []string
	Client  []kgo.Opt // TLS, SASL, dialer: applied to every client

	// Group is the consumer group; with Instance it also names the
	// transactional id, so both must be the same after a restart.
	Group string
	// Instance is the name of this member, unique in the group; empty is "0".
	// Two processes of one name end one another's work: the one that the
	// broker fences returns from Run with ErrFenced.
	Instance string

	// Inputs are the topics in order of precedence at equal timestamps. They
	// and TableTopic have the same number of partitions.
	Inputs     []string
	TableTopic string

	// BatchBytes says of topics how large a batch they take, their
	// max.message.bytes. One that is not named takes 1 MiB.
	BatchBytes map[string]int32

	// Open gives the local state of a partition, at every assignment; Close is
	// called once for every successful Open. Both are called for several
	// partitions at once.
	Open  func(partition int32) (Table, error)
	Close func(partition int32) error

	// Processor builds the Goka processor of one partition over the given
	// seams; the caller adds graph, codecs and storage. It is called after
	// Open, once the table is restored. The seams include NilProcess and a
	// logger that drops everything, since Goka's texts contain keys.
	Processor func(partition int32, seams []goka.ProcessorOption) (*goka.Processor, error)

	// Rekey, if set, names the key under which records of a topic are handed
	// over, empty for their own: Goka writes the row of the record's key only,
	// so that what is kept of a partition as a whole needs a key of its own.
	Rekey func(topic string, partition int32) string

	// First, if set, gives the records that a partition hands to itself before
	// its next input, no more than most at a time, which is two or more, and at
	// least one as long as there are any. It is asked before the first input and after a record that
	// was handed alone, until it gives none. All that one call gives is in one
	// transaction. So a pass over a table goes through bounded
	// transactions, and its cursor is in a row. They come to the processor as of
	// the topic FirstTopic, which the brokers do not have: a graph names its
	// inputs. It is called while the partition's processor is quiet.
	First      func(partition int32, most int) ([]Own, error)
	FirstTopic string

	// Alone, if set, is asked about every record before it is handed over. One
	// of which it says true is handed alone; when it is processed, Again (which
	// must be set then) is asked whether more of it is left, and if so the same
	// record is handed once more in the next transaction, its position unmoved,
	// before any other record of its partition. So a step that fires a million
	// times goes through bounded transactions, and its cursor is in its row; and
	// one that needs what its transaction has staged to be committed has it then.
	Alone func(topic string, value []byte) bool
	Again func(partition int32) bool

	// Metadata, if set, gives the text that is committed with the positions of a
	// partition, for whoever asks the group's coordinator how far it has come. It
	// is called while the partition's processor is quiet.
	Metadata func(partition int32) string

	Observer Observer     // zero: nobody looks
	Logger   *slog.Logger // nil: slog.Default()
	Limits   Limits
}

// An Observer is told what happens, for metrics. Every field may be nil. The
// functions are called from the runtime's goroutines, several at once, and
// must return at once.
type Observer struct {
	Generation  func()                                          // this process joins, anew or again
	Reset       func(reason string)                             // a generation ended without its last transaction confirmed; reason is one of a few words
	Restore     func(partition int32, position, end int64)      // progress of a restore, in changelog offsets; at the end both are equal
	Running     func(partition int32)                           // the partition's processor takes records from now on
	Stopped     func(partition int32)                           // and no longer
	Committed   func(partition int32)                           // all that was processed of it is committed; its processor is quiet
	Transaction func(Transaction)                               // one was committed
	Position    func(topic string, partition int32, p Progress) // after every transaction, for what moved
}

// A Transaction in numbers.
type Transaction struct {
	Records int           // input records
	Outputs int           // records sent to topics other than the table's
	Rows    int           // rows sent to the table's topic
	Took    time.Duration // from the first record handed over until the store was sealed
	Flush   time.Duration // of it, waiting for the brokers to acknowledge records and offsets
	End     time.Duration // of it, waiting for EndTxn
	Sealing time.Duration // of it, in Table.Seal
}

// Progress of one input topic in one partition.
type Progress struct {
	Next int64 // the next offset to be processed
	End  int64 // the last stable offset as the last fetch told it
}

// Limits and timings; zero means the default, which is in brackets.
type Limits struct {
	// TransactionTime and TransactionRecords close a transaction [100 ms, or
	// Interval if that is longer; 50,000]: larger ones cost less, their outputs
	// are visible later.
	TransactionTime    time.Duration
	TransactionRecords int
	// Interval is the least time from one EndTxn to the next transaction [none]:
	// fewer and larger ones cost less, their outputs are visible later. A
	// partition that lags by more than BufferedRecords does not wait for it, nor
	// does one that hands records to itself or the same one again.
	Interval time.Duration
	// Linger is how long records wait for more that go with them [10 ms; at most a
	// minute], unless the flush ends it: so those of a short transaction go as one
	// request. A second one would meet the first while the broker still takes it
	// down, and back off for 20 ms; so would one that meets the markers of the last
	// transaction.
	Linger time.Duration
	// SessionTimeout is how long a silent member keeps its partitions [10 s];
	// brokers refuse less than 6 s.
	SessionTimeout time.Duration
	// TransactionTimeout is when the broker aborts a transaction that nobody
	// ends [15 s]. It is also how long a partition may stand still after its
	// owner was killed and did not come back.
	TransactionTimeout time.Duration
	// Idle is how long nothing may have happened until positions that are ahead
	// of the committed offsets are committed without a transaction [1 s].
	Idle time.Duration
	// CommitTimeout bounds flush, offsets and EndTxn of one transaction [10 s];
	// then its outcome is asked for by a new generation.
	CommitTimeout time.Duration
	// LeaveTimeout bounds what Run still does after its context has ended [8 s].
	LeaveTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait before a new generation [100 ms,
	// 5 s]; it doubles with every generation that committed nothing.
	BackoffMin, BackoffMax time.Duration
	// FetchBytes bounds what one fetch asks for of one topic and partition
	// [256 KiB]: what waits is the less in memory, and the likelier still in the
	// processor's caches when its turn comes.
	FetchBytes int32
	// BufferedRecords and BufferedBytes are held of one topic and partition at
	// most, plus one fetch [4,000 and 2 MiB]; above, its fetching pauses.
	BufferedRecords, BufferedBytes int
	// Starting bounds how many partitions are restored at once [4].
	Starting int
	// RestoreRows bounds the rows of one call to Table.Restore [10,000].
	RestoreRows int
}

// What cannot be configured.
const (
	// sessionTimeoutMin is the default of a broker's
	// group.min.session.timeout.ms: below it a member never joins, without a word.
	sessionTimeoutMin = 6 * time.Second
	// transactionVersionMin is the broker feature with which every transaction
	// has its own epoch (KIP-890), so that nothing late can join the next one.
	transactionVersionMin = 2
	// claimRecords is how many records are handed to one Goka processor at
	// once at most: the capacity of its claim's channel, which therefore never blocks.
	claimRecords = 4096
	// shareStart and shareMin are what a partition is handed in the first round
	// of a generation and, if its steps are slow, at the least.
	shareStart = 512
	shareMin   = 16
	// firstRecordsMin: First is not asked for fewer, so that there is room for a
	// row's record and one for how far that has come.
	firstRecordsMin = 2
	// processorRecords is the capacity of Goka's own channel behind it: with
	// Goka's 10 the two goroutines would take turns.
	processorRecords = 256
	// fetchBytesMax bounds one fetch response. It is no less than FetchBytes
	// for 128 topic-partitions: kfake forgets the list of aborted transactions
	// when it cuts a response here.
	fetchBytesMax = 64 << 20
	// fetchWait is how long a broker may hold a fetch that finds nothing. A
	// partition that resumes is only asked for with the next fetch: with 500 ms
	// those with little left ran empty, and a drain lost a tenth of its rate.
	fetchWait = 100 * time.Millisecond
	// metadataAgeMin is how soon the client may ask again who leads what. It
	// asks after every failed produce or fetch, and sends again only when it has
	// the answer; a produce fails as well while the broker still writes the
	// markers of the last transaction. With its own 5 s one severed connection
	// would stop a member for as long, and with 250 ms such a produce was seen to
	// wait for up to that.
	metadataAgeMin = 10 * time.Millisecond
	// retryWaitMin and retryWaitMax bound the wait before a request is sent
	// again; it doubles.
	retryWaitMin = 25 * time.Millisecond
	retryWaitMax = time.Second
	// restoreBytes is what one fetch of a restore asks for.
	restoreBytes = 8 << 20
	// restoreWait is fetchWait for a restore.
	restoreWait = 250 * time.Millisecond
	// produceRecordsMax and produceBytesMax are buffered for sending at most;
	// then Emit waits.
	produceRecordsMax = 250_000
	produceBytesMax   = 128 << 20
	// batchBytesMax is the largest batch for a topic of which nothing else is
	// said. A broker refuses a larger one than the topic takes, and all that a
	// transaction sends to one partition may be one.
	batchBytesMax = 1 << 20
	// offsetRetry is the wait between two questions for something that another
	// member has not finished yet.
	offsetRetry = 20 * time.Millisecond
	// publishedRetry is the wait between two looks whether the client shows the
	// partitions of a topic.
	publishedRetry = time.Millisecond
	// markersRetry is the wait between two questions whether the markers of a
	// transaction are written, and markersWait how long they are waited for.
	markersRetry = time.Millisecond
	markersWait  = time.Second
	// completeEvery is the wait between two looks whether every partition of the
	// group is somebody's.
	completeEvery = 2 * time.Second
	// namesakeWait is how long a fenced member looks whether another one has
	// joined under its name.
	namesakeWait = 2 * time.Second
	// abortTimeout bounds the attempt to abort before a reset; the next
	// generation's InitProducerID does it in any case.
	abortTimeout = time.Second
	// requestTimeout bounds one request of the start of a generation.
	requestTimeout = 10 * time.Second
	// errorTextMax bounds the text of a processor's error, stack included.
	errorTextMax = 4 << 10
)

// ErrFenced is returned by Run when another process has taken this member's
// name.
var ErrFenced = errors.New("another process runs with this group and instance name; give each its own --instance")

func defaulted[T int | int32 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// withDefaults fills in defaults, then gives every complaint at once.
func (c Config) withDefaults() (Config, error) {
	if c.Instance == "" {
		c.Instance = "0"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	l := &c.Limits
	defaulted(&l.TransactionTime, max(l.Interval, 100*time.Millisecond))
	defaulted(&l.TransactionRecords, 50_000)
	defaulted(&l.Linger, 10*time.Millisecond)
	defaulted(&l.SessionTimeout, 10*time.Second)
	defaulted(&l.TransactionTimeout, 15*time.Second)
	defaulted(&l.Idle, time.Second)
	defaulted(&l.CommitTimeout, 10*time.Second)
	defaulted(&l.LeaveTimeout, 8*time.Second)
	defaulted(&l.BackoffMin, 100*time.Millisecond)
	defaulted(&l.BackoffMax, 5*time.Second)
	defaulted(&l.FetchBytes, 256<<10)
	defaulted(&l.BufferedRecords, 4_000)
	defaulted(&l.BufferedBytes, 2<<20)
	defaulted(&l.Starting, 4)
	defaulted(&l.RestoreRows, 10_000)
	return c, c.complaints()
}

func (c *Config) complaints() error {
	var all []error
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Errorf("kafka: configuration: "+format, args...))
		}
	}
	complain(len(c.Brokers) == 0, "Brokers is empty")
	complain(c.Group == "", "Group is empty")
	complain(len(c.Inputs) == 0, "Inputs is empty")
	complain(c.TableTopic == "", "TableTopic is empty")
	complain(c.Open == nil || c.Close == nil || c.Processor == nil, "Open, Close and Processor must be set")
	complain(c.Alone != nil && c.Again == nil, "Alone is set and Again is not")
	complain(c.First != nil && c.FirstTopic == "", "First is set and FirstTopic is not")
	complain(c.First != nil && c.Limits.TransactionRecords < firstRecordsMin, "First is set, and TransactionRecords is %d, which is less than %d", c.Limits.TransactionRecords, firstRecordsMin)
	complain(slices.Contains(c.Inputs, c.TableTopic), "the table's topic %s is an input", c.TableTopic)
	for i, topic := range c.Inputs {
		complain(slices.Index(c.Inputs, topic) != i, "input %s is named twice", topic)
	}
	l := c.Limits
	complain(l.SessionTimeout < sessionTimeoutMin, "SessionTimeout is %v, and brokers refuse less than %v", l.SessionTimeout, sessionTimeoutMin)
	complain(min(l.TransactionTime, l.Interval, l.Linger, l.TransactionTimeout, l.Idle, l.CommitTimeout, l.LeaveTimeout, l.BackoffMin, l.BackoffMax) < 0 ||
		min(l.TransactionRecords, l.BufferedRecords, l.BufferedBytes, l.Starting, l.RestoreRows) < 0 || l.FetchBytes < 0, "a limit is negative")
	return errors.Join(all...)
}

// transactionalID is stable per member, so that a restart fences what the last
// incarnation left and readers need not wait for its timeout.
func (c *Config) transactionalID() string { return c.Group + "." + c.Instance }

// batchBytes is the largest batch that is sent to a topic.
func (c *Config) batchBytes(topic string) int32 {
	if bytes, named := c.BatchBytes[topic]; named {
		return bytes
	}
	return batchBytesMax
}

// metadata is what is committed with the positions of a partition, nil for
// nothing.
func (c *Config) metadata(partition int32) *string {
	if c.Metadata == nil {
		return nil
	}
	text := c.Metadata(partition)
	return &text
}
