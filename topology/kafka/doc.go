// Package kafka runs Goka processors on franz-go, exactly once.
package kafka
