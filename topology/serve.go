package topology

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The limits of the HTTP listener.
const (
	headerTimeout = 5 * time.Second // for a request's header
	serveTimeout  = time.Second     // for requests that are being answered when the process ends
)

// serve answers /metrics, /ready (200 when ready gives nil, else 503 and why),
// /live, and Go's profiles under /debug/pprof/, until the returned function is
// called. Without an address it does nothing.
func serve(o RunOptions, ready func() error) (stop func(), err error) {
	if o.Listen == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: give another address with --listen", o.Listen, err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(o.Metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("the HTTP listener ended", "address", o.Listen, "error", err)
		}
	}()
	o.Logger.Info("listening", "address", listener.Addr().String(), "paths", "/metrics /ready /live")
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), serveTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}, nil
}
