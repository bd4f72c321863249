package topology

import (
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology/kafka"
	"github.com/vouch-engine/vouch/topology/store"
)

// The names of all metrics. Their labels are groups, topics, partitions,
// reasons and versions: never an id, a phone or a payee. Groups and topics stand
// without prefix.
const (
	metricRead        = "vouch_records_read_total"
	metricInputs      = "vouch_inputs_total"
	metricQuarantined = "vouch_quarantined_total"
	metricEmitted     = "vouch_emitted_total"

	metricTransactions       = "vouch_transactions_total"
	metricTransactionSeconds = "vouch_transaction_seconds"
	metricFlushSeconds       = "vouch_transaction_flush_seconds"
	metricResets             = "vouch_resets_total"

	metricRestored  = "vouch_restore_position"
	metricRestoring = "vouch_restore_end"
	metricRunning   = "vouch_partitions_running"
	metricAssigned  = "vouch_partitions_assigned"
	metricLag       = "vouch_lag_records"
	metricLastTick  = "vouch_last_tick_timestamp_seconds"
	metricReached   = "vouch_tick_reached_timestamp_seconds"
	metricPassing   = "vouch_partitions_in_pass"
	metricPassed    = "vouch_pass_citizens_total"

	metricRegistryUp = "vouch_registry_up"
	metricBuild      = "vouch_build_info"

	metricStoreDisk    = "vouch_store_disk_bytes"
	metricStoreMemory  = "vouch_store_memory_bytes"
	metricStorePending = "vouch_store_pending_bytes"
	metricStoreHits    = "vouch_store_cache_hits_total"
	metricStoreMisses  = "vouch_store_cache_misses_total"
)

// secondsBuckets reach from a transaction of one record on a quick broker to
// one that times out.
var secondsBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// labelGroup is the label that tells the groups of one process apart.
const labelGroup = "group"

// Metrics count what one group of the engine does in this process. What is counted of records is counted when
// their transaction is committed: after a crash or a reset nothing is counted
// twice and nothing is missing, so that the inputs under each count and those
// in quarantine always add up to the records read.
type Metrics struct {
	registry *prometheus.Registry
	register prometheus.Registerer // with the group's label
	topics   []string              // inputs

	read                *prometheus.CounterVec
	inputs, quarantined *prometheus.CounterVec
	emitted             *prometheus.CounterVec

	transactions prometheus.Counter
	took, flush  prometheus.Histogram
	resets       *prometheus.CounterVec

	restored, restoring *prometheus.GaugeVec
	running, assigned   prometheus.Gauge
	lag, lastTick       *prometheus.GaugeVec
	reached             *prometheus.GaugeVec
	passed              prometheus.Counter

	mu     sync.Mutex
	totals Totals
}

// NewMetrics makes the metrics of a group, CertifierGroup or TimerGroup, which
// stand at zero.
func NewMetrics(group string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), topics: inputsOf[group],
		totals: Totals{Counts: map[certify.Count]int{}, Quarantined: map[certify.Refusal]int{}},
	}
	m.register = prometheus.WrapRegistererWith(prometheus.Labels{labelGroup: group}, m.registry)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.register.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.register.MustRegister(v)
		return v
	}
	histogram := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: secondsBuckets})
		m.register.MustRegister(h)
		return h
	}
	m.read = counter(metricRead, "Input records of committed transactions.", "topic")
	m.inputs = counter(metricInputs, "Inputs decided, by what became of them.", "topic", "count")
	m.quarantined = counter(metricQuarantined, "Inputs put in quarantine, by reason.", "topic", "reason")
	m.emitted = counter(metricEmitted, "Records written, by topic.", "topic")
	m.transactions = counter(metricTransactions, "Transactions committed.").WithLabelValues()
	m.took = histogram(metricTransactionSeconds, "From the first record of a transaction until its rows are sealed.")
	m.flush = histogram(metricFlushSeconds, "Of a transaction, waiting until records and offsets are acknowledged.")
	m.resets = counter(metricResets, "Generations that ended without their last transaction confirmed, by reason.", "reason")
	m.restored = gauge(metricRestored, "Changelog offset up to which a partition's table is restored.", "partition")
	m.restoring = gauge(metricRestoring, "Changelog offset up to which it must be restored.", "partition")
	m.running = gauge(metricRunning, "Partitions that take records.").WithLabelValues()
	m.assigned = gauge(metricAssigned, "Partitions that this process was given.").WithLabelValues()
	m.lag = gauge(metricLag, "Records between the next one to be processed and the last stable offset.", "topic", "partition")
	m.lastTick = gauge(metricLastTick, "The last tick applied, in Unix time: time() minus this is its age.", "partition")
	m.reached = gauge(metricReached, "While a tick fires: how far it has come, in Unix time; else the last tick.", "partition")
	m.passed = counter(metricPassed, "Citizens gone over anew, under another catalogue or on demand.").WithLabelValues()
	m.begin()
	return m
}

// begin shows every series that can be known beforehand at zero, since a
// counter that appears with its first event has no rate at it.
func (m *Metrics) begin() {
	for _, topic := range m.topics {
		for _, count := range certify.Counts {
			if (count == certify.OldTick) == (topic == Clock) || count == certify.Applied {
				m.inputs.WithLabelValues(topic, string(count))
			}
		}
		for _, reason := range certify.Refusals {
			m.quarantined.WithLabelValues(topic, string(reason))
		}
		m.read.WithLabelValues(topic)
	}
}

// process are the metrics of the process, whatever groups run in it.
func process() *prometheus.Registry {
	version, revision := "unknown", "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		version = build.Main.Version
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: metricBuild, Help: "What runs here.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision},
	})
	info.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Totals say what became of every record of the committed transactions.
func (m *Metrics) Totals() Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	totals := Totals{m.totals.Read, map[certify.Count]int{}, map[certify.Refusal]int{}}
	for count, n := range m.totals.Counts {
		totals.Counts[count] = n
	}
	for reason, n := range m.totals.Quarantined {
		totals.Quarantined[reason] = n
	}
	return totals
}

// committed takes in what a partition counted, and empties the tally.
func (m *Metrics) committed(t *tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, topic := range t.topics {
		input := &t.inputs[i]
		if input.read == 0 {
			continue
		}
		m.totals.Read += input.read
		m.read.WithLabelValues(topic).Add(float64(input.read))
		for j, count := range certify.Counts {
			if n := input.counts[j]; n > 0 {
				m.totals.Counts[count] += n
				m.inputs.WithLabelValues(topic, string(count)).Add(float64(n))
			}
		}
		for j, reason := range certify.Refusals {
			if n := input.refused[j]; n > 0 {
				m.totals.Quarantined[reason] += n
				m.quarantined.WithLabelValues(topic, string(reason)).Add(float64(n))
			}
		}
	}
	for topic, n := range t.sent {
		m.emitted.WithLabelValues(topic).Add(float64(n))
	}
	m.passed.Add(float64(t.passed))
	t.forget()
}

// transaction takes in the timings of a committed transaction.
func (m *Metrics) transaction(t kafka.Transaction) {
	m.transactions.Inc()
	m.took.Observe(t.Took.Seconds())
	m.flush.Observe(t.Flush.Seconds())
}

func (m *Metrics) reset(reason string) { m.resets.WithLabelValues(reason).Inc() }

// watch shows what the store, the passes and the registry say of themselves
// when asked.
func (m *Metrics) watch(stats func() store.Stats, passing func() int, registry *avro.Registry) {
	gauge := func(name, help string, value func() float64) {
		m.register.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		m.register.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge(metricPassing, "Partitions that go over their citizens anew before they take records.", func() float64 { return float64(passing()) })
	gauge(metricStoreDisk, "Bytes of the files of the local state.", func() float64 { return float64(stats().DiskBytes) })
	gauge(metricStoreMemory, "Bytes of memory that rows take, beside Go's heap.", func() float64 { return float64(stats().MemoryBytes) })
	gauge(metricStorePending, "Bytes of committed rows that are not in its files yet.", func() float64 { return float64(stats().PendingBytes) })
	counter(metricStoreHits, "Blocks of its files found in its cache.", func() float64 { return float64(stats().CacheHits) })
	counter(metricStoreMisses, "Blocks of its files read from the disk.", func() float64 { return float64(stats().CacheMisses) })
	if registry != nil {
		gauge(metricRegistryUp, "1 if the schema registry answered last.", func() float64 {
			if registry.Down() != nil {
				return 0
			}
			return 1
		})
	}
}

func (m *Metrics) restore(partition int32, position, end int64) {
	m.restored.WithLabelValues(decimal(partition)).Set(float64(position))
	m.restoring.WithLabelValues(decimal(partition)).Set(float64(end))
}

func (m *Metrics) position(topic string, partition int32, p kafka.Progress) {
	m.lag.WithLabelValues(topic, decimal(partition)).Set(float64(max(0, p.End-p.Next)))
}

// tick takes down the last tick that a partition applied, and how far the one
// in hand has come.
func (m *Metrics) tick(partition int32, applied, reached schemas.Instant) {
	if applied != certify.NoTick {
		m.lastTick.WithLabelValues(decimal(partition)).Set(float64(applied) / 1000)
	}
	if reached != certify.NoTick {
		m.reached.WithLabelValues(decimal(partition)).Set(float64(reached) / 1000)
	}
}

// gone forgets a partition that this process no longer has, so that nobody
// takes its last lag for the present one.
func (m *Metrics) gone(partition int32) {
	of := prometheus.Labels{"partition": decimal(partition)}
	for _, gauge := range []*prometheus.GaugeVec{m.lag, m.lastTick, m.reached, m.restored, m.restoring} {
		gauge.DeletePartialMatch(of)
	}
}

func decimal(partition int32) string { return strconv.Itoa(int(partition)) }
