package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// line is one benefit of one citizen on the pay list.
type line struct {
	citizen, benefit string
	pays             bool
	why              string
}

// payList decides who is paid: whose benefit is GOOD. Every other status, one
// that this program has never heard of too, withholds. The lines are sorted.
func payList(rows table) (list []line) {
	for citizen, row := range rows {
		for _, b := range row.Benefits {
			l := line{citizen: citizen, benefit: b.Benefit, pays: b.Status == "GOOD"}
			if l.why = b.Status + ": " + strings.Join(b.Reasons, ";"); l.pays {
				l.why = "GOOD: certified until " + b.DueOn.UTC().Format(time.DateOnly)
			}
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.citizen, b.citizen), cmp.Compare(a.benefit, b.benefit))
	})
	return list
}

// writeList writes the pay list as CSV, whole or not at all: half a list under
// its name would be paid.
func writeList(path string, list []line) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write the pay list: %w", err)
	}
	defer os.Remove(file.Name()) // nothing, once it has its name
	lines := csv.NewWriter(file)
	lines.Write([]string{"citizen_id", "benefit", "decision", "why"}) // a failure is in Error
	for _, l := range list {
		decision := "withhold"
		if l.pays {
			decision = "pay"
		}
		lines.Write([]string{l.citizen, l.benefit, decision, l.why})
	}
	lines.Flush()
	if err := errors.Join(lines.Error(), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the pay list: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("write the pay list: %w", err)
	}
	return nil
}
