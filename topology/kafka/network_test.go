package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// network is what lies between a member and the brokers, so that a test can cut
// it at any point, on any broker.
type network struct {
	mu    sync.Mutex
	lines map[*line]bool
	dead  bool
	// on, if set, says what becomes of a request, by its API key. It is called
	// under mu.
	on func(key int16) fate
}

type fate int

const (
	passes fate = iota
	requestLost
	answerLost // the broker has done what was asked for
)

// API keys of the requests that the tests lose.
const (
	keyProduce         = 0
	keyFetch           = 1
	keyJoinGroup       = 11
	keyEndTxn          = 26
	keyTxnOffsetCommit = 28
)

func newNetwork() *network { return &network{lines: map[*line]bool{}} }

func (n *network) client() []kgo.Opt { return []kgo.Opt{kgo.Dialer(n.dial)} }

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		conn.Close()
		return nil, errors.New("the network is dead")
	}
	l := &line{Conn: conn, network: n}
	n.lines[l] = true
	return l, nil
}

// cut severs every connection.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.lines {
		l.Conn.Close()
	}
	clear(n.lines)
}

// die severs every connection and lets nothing through any more: to the brokers
// and to other members it looks as if the member had been killed.
func (n *network) die() {
	n.mu.Lock()
	n.dead = true
	n.mu.Unlock()
	n.cut()
}

func (n *network) revive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = false
}

func (n *network) decide(on func(key int16) fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.on = on
}

// line is one connection.
type line struct {
	net.Conn
	network *network
	mu      sync.Mutex
	doomed  bool // the next answer is lost, and the connection with it
}

// Write is called with one whole request: its length, then its API key.
func (l *line) Write(request []byte) (int, error) {
	switch l.network.fate(int16(binary.BigEndian.Uint16(request[4:]))) {
	case requestLost:
		l.Close()
		return 0, errors.New("the request was lost")
	case answerLost:
		l.mu.Lock()
		l.doomed = true
		l.mu.Unlock()
	}
	return l.Conn.Write(request)
}

func (n *network) fate(key int16) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.on == nil {
		return passes
	}
	return n.on(key)
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doomed {
		l.Close()
		return 0, errors.New("the answer was lost")
	}
	return n, err
}

func (l *line) Close() error {
	l.network.mu.Lock()
	delete(l.network.lines, l)
	l.network.mu.Unlock()
	return l.Conn.Close()
}

// immortal is the last request of a member that lives.
const immortal = 1 << 30

// runMortal runs a member until the group has caught up, or until its network
// dies, after so many requests of its transactions.
func (w *world) runMortal(c Config, last int) {
	w.t.Helper()
	n := newNetwork()
	c.Client = n.client()
	c.Limits.LeaveTimeout = 50 * time.Millisecond
	requests := 0
	n.decide(func(key int16) fate {
		if key == keyProduce || key == keyTxnOffsetCommit || key == keyEndTxn {
			requests++
		}
		if n.dead = n.dead || requests > last; n.dead {
			return requestLost
		}
		return passes
	})
	m := w.member(c)
	w.await("the member is dead or through", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.dead || w.lag(w.prefix+"group") == 0
	})
	if err := m.stop(); err != nil {
		w.t.Fatal(err)
	}
}
