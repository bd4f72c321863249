package kafka

import (
	"encoding/binary"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Private headers carry what Goka's Producer has no argument for. The seam
// takes them off, so they never reach a broker. A zero byte keeps them apart
// from any header that a client would write.
const (
	HeaderTimestamp = "\x00vouch-timestamp" // int64, big endian: milliseconds since 1970
	HeaderPartition = "\x00vouch-partition" // int32, big endian
)

// At gives the emitted record this Kafka timestamp, in milliseconds since
// 1970. Without it the record has the time of its sending.
func At(millis int64) goka.Headers {
	return goka.Headers{HeaderTimestamp: binary.BigEndian.AppendUint64(nil, uint64(millis))}
}

// ToPartition sends the emitted record to this partition, if the topic has it,
// and not where its key would put it.
func ToPartition(partition int32) goka.Headers {
	return goka.Headers{HeaderPartition: binary.BigEndian.AppendUint32(nil, uint32(partition))}
}

// byKey as a record's partition leaves the choice to the key.
const byKey = -1

// takeOff moves the private headers into the record and gives it the others.
func takeOff(headers goka.Headers, record *kgo.Record) {
	for name, value := range headers {
		switch {
		case name == HeaderTimestamp && len(value) == 8:
			record.Timestamp = time.UnixMilli(int64(binary.BigEndian.Uint64(value)))
		case name == HeaderPartition && len(value) == 4:
			record.Partition = int32(binary.BigEndian.Uint32(value))
		default:
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: value})
		}
	}
	sortHeaders(record.Headers)
}

// sortHeaders makes records of equal content equal in bytes: Goka's headers
// are a map.
func sortHeaders(headers []kgo.RecordHeader) {
	for i := 1; i < len(headers); i++ {
		for j := i; j > 0 && headers[j].Key < headers[j-1].Key; j-- {
			headers[j], headers[j-1] = headers[j-1], headers[j]
		}
	}
}

// partitioner puts records where any client's default partitioner would
// (murmur2 of the key), except those that name their partition.
func partitioner() kgo.Partitioner {
	keyed := kgo.StickyKeyPartitioner(nil)
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		byHash := keyed.ForTopic(topic)
		return func(record *kgo.Record, partitions int) int {
			if p := int(record.Partition); p >= 0 && p < partitions {
				return p
			}
			return byHash.Partition(record, partitions)
		}
	})
}
