package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

// connection is what every command that talks to Kafka must know.
type connection struct {
	brokers  []string
	prefix   string
	registry string

	tls                          bool
	tlsCA, tlsCert, tlsKey       string
	sasl, saslUser, saslPassword string // saslPassword is a file
}

// flags adds the connection's flags to a command.
func (c *connection) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringSliceVar(&c.brokers, "brokers", nil, "Kafka brokers, host:port, separated by commas")
	flags.StringVar(&c.prefix, "prefix", topology.DefaultPrefix, "stands before the name of every topic and group")
	flags.StringVar(&c.registry, "registry", "", "URL of the schema registry; without it values are in single-object encoding")
	flags.BoolVar(&c.tls, "tls", false, "encrypt the connection to Kafka")
	flags.StringVar(&c.tlsCA, "tls-ca", "", "PEM file with the authorities to trust instead of the system's")
	flags.StringVar(&c.tlsCert, "tls-cert", "", "PEM file with the client's certificate")
	flags.StringVar(&c.tlsKey, "tls-key", "", "PEM file with the client's key")
	flags.StringVar(&c.sasl, "sasl", "", "log in with plain, scram-sha-256 or scram-sha-512")
	flags.StringVar(&c.saslUser, "sasl-user", "", "user to log in as")
	flags.StringVar(&c.saslPassword, "sasl-password-file", "", "file that holds the password")
}

// options are the client's options for the connection.
func (c *connection) options() ([]kgo.Opt, error) {
	if len(c.brokers) == 0 {
		return nil, misused("--brokers is missing: name the Kafka brokers as host:port")
	}
	options := []kgo.Opt{kgo.SeedBrokers(c.brokers...)}
	if c.tls || c.tlsCA != "" || c.tlsCert != "" {
		config, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	if c.sasl != "" {
		mechanism, err := c.login()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

func (c *connection) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.tlsCA != "" {
		pem, err := os.ReadFile(c.tlsCA)
		if err != nil {
			return nil, fmt.Errorf("read --tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read --tls-ca %s: it holds no certificate in PEM form", c.tlsCA)
		}
	}
	if c.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
		if err != nil {
			return nil, fmt.Errorf("read --tls-cert and --tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (c *connection) login() (sasl.Mechanism, error) {
	if c.saslUser == "" || c.saslPassword == "" {
		return nil, misused("--sasl needs --sasl-user and --sasl-password-file")
	}
	password, err := os.ReadFile(c.saslPassword)
	if err != nil {
		return nil, fmt.Errorf("read --sasl-password-file: %w", err)
	}
	secret := strings.TrimRight(string(password), "\r\n")
	switch c.sasl {
	case "plain":
		return plain.Auth{User: c.saslUser, Pass: secret}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: c.saslUser, Pass: secret}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: c.saslUser, Pass: secret}.AsSha512Mechanism(), nil
	}
	return nil, misused("--sasl %s: must be plain, scram-sha-256 or scram-sha-512", c.sasl)
}

// answerTimeout is how long the first answer of a broker is waited for.
const answerTimeout = 15 * time.Second

// client connects, with more options of the caller's, and waits for an answer.
func (c *connection) client(ctx context.Context, more ...kgo.Opt) (*kgo.Client, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka at %s: %w", strings.Join(c.brokers, ","), err)
	}
	short, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := client.Ping(short); err != nil {
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("connect to Kafka at %s: no broker answers: %w; see --brokers and the flags of TLS and SASL", strings.Join(c.brokers, ","), err)
	}
	return client, nil
}

// connector is client for whoever chooses the client's options.
func (c *connection) connector(ctx context.Context) func(...kgo.Opt) (*kgo.Client, error) {
	return func(more ...kgo.Opt) (*kgo.Client, error) { return c.client(ctx, more...) }
}

// openRegistry is the registry, nil if none is named.
func (c *connection) openRegistry() (*avro.Registry, error) {
	if c.registry == "" {
		return nil, nil
	}
	return avro.NewRegistry(c.registry)
}
