// Command registry is a schema registry in memory that speaks Confluent's API,
// for checks on a machine that has none. It forgets everything when it ends, and
// calls every change of a schema compatible: not for schemas that matter.
//
//	go run ./deploy/local/interop/registry --listen 127.0.0.1:0
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// headerTimeout bounds how long a client may take to say what it wants.
const headerTimeout = 5 * time.Second

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 is a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen); err != nil {
		fmt.Fprintf(os.Stderr, "registry: %v\n", err)
		os.Exit(1)
	}
}

// serve answers until ctx ends. The first line of standard output is the URL.
func serve(ctx context.Context, listen string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := http.Server{Handler: srfake.NewRegistry().Handler(), ReadHeaderTimeout: headerTimeout}
	go func() {
		<-ctx.Done()
		_ = server.Close() // serve returns what comes of it
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	return nil
}
