package kafka

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Private headers carry what Goka's Producer has no argument for. The seam
// takes them off, so they never reach a broker. A zero byte keeps them apart
// from any header that a client would write.
const (
	headerPartition = "\x00vouch-partition" // int32, big endian
	headerOriginal  = "\x00vouch-original"  // see appendOriginal
)

// ToPartition sends the emitted record to this partition, if the topic has it,
// and not where its key would put it.
func ToPartition(partition int32) goka.Headers {
	return goka.Headers{headerPartition: binary.BigEndian.AppendUint32(nil, uint32(partition))}
}

// byKey as a record's partition leaves the choice to the key.
const byKey = -1

// takeOff moves the private headers into the record and gives it the others,
// behind those of the input whose headers it was given with.
func takeOff(headers goka.Headers, record *kgo.Record) {
	original, forwarded := headers[headerOriginal]
	if forwarded {
		restoreOriginal(original, record)
	}
	kept := len(record.Headers)
	for name, value := range headers {
		switch {
		case name == headerOriginal:
		case forwarded && slices.ContainsFunc(record.Headers[:kept], func(h kgo.RecordHeader) bool { return h.Key == name && bytes.Equal(h.Value, value) }):
		case name == headerPartition && len(value) == 4:
			record.Partition = int32(binary.BigEndian.Uint32(value))
		default:
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: value})
		}
	}
	sortHeaders(record.Headers[kept:])
}

// appendOriginal writes down what Goka's message cannot carry of a record, for
// whoever forwards it with its headers: whether it has a key and which, and
// its headers in order, a name that stands twice too.
//
//	original = keyed: byte · key: text · headers: (name: text · valued: byte · value: text)…
//	text     = length: uvarint · bytes
func appendOriginal(b []byte, record *kgo.Record) []byte {
	text := func(t []byte) { b = append(binary.AppendUvarint(b, uint64(len(t))), t...) }
	present := func(t []byte) {
		if t == nil {
			b = append(b, 0)
		} else {
			b = append(b, 1)
		}
		text(t)
	}
	present(record.Key)
	for _, header := range record.Headers {
		text([]byte(header.Key))
		present(header.Value)
	}
	return b
}

// restoreOriginal gives a record the key and the headers that appendOriginal
// wrote down.
func restoreOriginal(b []byte, record *kgo.Record) {
	text := func() []byte {
		length, size := binary.Uvarint(b)
		t := b[size : size+int(length) : size+int(length)]
		b = b[size+int(length):]
		return t
	}
	present := func() []byte {
		is := b[0] == 1
		b = b[1:]
		if t := text(); is {
			return t
		}
		return nil
	}
	record.Key = present()
	for len(b) > 0 {
		name := string(text())
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: present()})
	}
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
