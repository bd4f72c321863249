package remind

// spread is the minute of the sending hours at which a citizen is written to:
// a level load on the gateway, the same minute every time.
func spread(citizen string, minutes int) int {
	return int(murmur2(citizen)&0x7fffffff) % minutes
}

// murmur2 is the hash of Kafka's default partitioner: MurmurHash2 of Austin
// Appleby, 32 bits, with Kafka's seed (org.apache.kafka.common.utils.Utils).
func murmur2(data string) uint32 {
	const (
		seed   = 0x9747b28c
		factor = 0x5bd1e995
		shift  = 24
	)
	h := uint32(seed) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= factor
		k ^= k >> shift
		h = h*factor ^ k*factor
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= factor
	}
	h ^= h >> 13
	h *= factor
	return h ^ h>>15
}
