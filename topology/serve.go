package topology

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The limits of the HTTP listener.
const (
	headerTimeout = 5 * time.Second // for a request's header
	serveTimeout  = time.Second     // for requests that are being answered when the process ends
)

// serve answers /metrics, /ready (200 when ready gives nil, else 503 and why),
// /live, and Go's profiles under /debug/pprof/, for the groups that run in this
// process, until the returned function is called. Without an address it does
// nothing.
func serve(address string, log *slog.Logger, ready func() error, groups ...*Metrics) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: give another address with --listen", address, err)
	}
	metrics := prometheus.Gatherers{process()}
	for _, group := range groups {
		metrics = append(metrics, group.registry)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
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
			log.Error("the HTTP listener ended", "address", address, "error", err)
		}
	}()
	log.Info("listening", "address", listener.Addr().String(), "paths", "/metrics /ready /live")
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), serveTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}, nil
}
