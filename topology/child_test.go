package topology

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// victimVariable has, in the environment of a process that a test starts to be
// killed, what it is to be.
const victimVariable = "VOUCH_TEST_VICTIM"

// API keys of the requests at which victims die.
const (
	keyProduce         = 0
	keyEndTxn          = 26
	keyTxnOffsetCommit = 28
)

// victim is a process of one group that kills itself, with no time to tidy up,
// at one of its requests to the brokers.
type victim struct {
	Group, Prefix, State string
	Brokers              []string
	Catalogue            string // its text
	Key                  int16  // of the request
	Count                int64  // at the how many-th
	Sent                 bool   // when the request is out already, and what comes of it is not known
}

func (v victim) String() string {
	request := map[int16]string{keyProduce: "Produce", keyEndTxn: "EndTxn", keyTxnOffsetCommit: "TxnOffsetCommit"}[v.Key]
	return fmt.Sprintf("%s killed at %s %d, sent: %t", v.Group, request, v.Count, v.Sent)
}

// drawVictim draws when one dies.
func drawVictim(random *rand.Rand) victim {
	keys := []int16{keyProduce, keyTxnOffsetCommit, keyEndTxn, keyEndTxn}
	return victim{Key: keys[random.IntN(len(keys))], Count: 1 + random.Int64N(2), Sent: random.IntN(2) == 0}
}

// commits is how many transactions it commits at the most.
func (v victim) commits() int64 {
	if v.Key == keyEndTxn && v.Sent {
		return v.Count
	}
	return v.Count - 1
}

// TestMain lets the tests' own program be the process that a test kills.
func TestMain(m *testing.M) {
	text := os.Getenv(victimVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var v victim
	err := json.Unmarshal([]byte(text), &v)
	if err == nil {
		err = v.live()
	}
	fmt.Fprintln(os.Stderr, "the victim ended by itself:", err)
	os.Exit(1)
}

// live runs the group until the end.
func (v *victim) live() error {
	c, err := catalogue.Load("catalogue", []byte(v.Catalogue))
	if err != nil {
		return err
	}
	newMember := map[string]func(context.Context, RunOptions) (*member, error){CertifierGroup: certifierMember, TimerGroup: timerMember}[v.Group]
	m, err := newMember(context.Background(), RunOptions{
		Brokers: v.Brokers, Prefix: v.Prefix, State: v.State, Catalogue: c, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Client: []kgo.Opt{kgo.Dialer(v.dial)},
	})
	if err != nil {
		return err
	}
	m.passSlowly()
	return m.work(context.Background())
}

// passSlowly lets a pass take so long that it needs several transactions.
func (m *member) passSlowly() {
	prepare := m.prepare
	m.prepare = func(ctx context.Context) error {
		err := prepare(ctx)
		begin := m.begin
		m.begin = func(b *binding) work { return slow{begin(b), ownTopic(m.name)} }
		return err
	}
}

// slow is work of which one step takes long.
type slow struct {
	work
	topic string
}

func (s slow) inputs() map[string]goka.ProcessCallback {
	callbacks := s.work.inputs()
	step := callbacks[s.topic]
	callbacks[s.topic] = func(ctx goka.Context, value any) {
		time.Sleep(200 * time.Microsecond)
		step(ctx, value)
	}
	return callbacks
}

func (v *victim) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, kind, address)
	return &victimLine{conn, v}, err
}

// victimLine is a connection of a victim.
type victimLine struct {
	net.Conn
	v *victim
}

// Write is called with one whole request: its length, then its API key.
func (l *victimLine) Write(request []byte) (n int, err error) {
	if int16(binary.BigEndian.Uint16(request[4:])) != l.v.Key || atomic.AddInt64(&l.v.Count, -1) != 0 {
		return l.Conn.Write(request)
	}
	if l.v.Sent {
		if _, err := l.Conn.Write(request); err != nil {
			return 0, err
		}
		time.Sleep(20 * time.Millisecond) // in which the broker does what was asked for
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		return 0, err
	}
	select {}
}

// sacrifice starts a victim and waits until it is dead.
func (w *world) sacrifice(v victim) {
	w.t.Helper()
	v.Prefix, v.Brokers = w.prefix, w.brokers
	text, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(w.t.Context(), awaitMax)
	defer stop()
	command := exec.CommandContext(ctx, os.Args[0])
	command.Env = append(os.Environ(), victimVariable+"="+string(text))
	began := time.Now()
	said, err := command.CombinedOutput()
	w.t.Log(v, "after", time.Since(began).Round(time.Millisecond))
	var exit *exec.ExitError
	if ctx.Err() != nil {
		w.t.Fatalf("a victim that was to be %v is alive after %v: %s", v, awaitMax, said)
	}
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		w.t.Fatalf("a victim that was to be %v: %v: %s", v, err, said)
	}
}
