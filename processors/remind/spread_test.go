package remind

import "testing"

// The vectors of Kafka's own test, org.apache.kafka.common.utils.UtilsTest.
func TestSpreadIsByTheHashOfKafka(t *testing.T) {
	for data, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2(data)); got != want {
			t.Errorf("the hash of %q is %d, want %d", data, got, want)
		}
	}
	if got := spread("21", 480); got != (-973932308&0x7fffffff)%480 {
		t.Errorf("a negative hash gives minute %d", got)
	}
}
