package catalogue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gowebpki/jcs"
)

// canonical is the RFC 8785 form: every default filled in, lists of coded
// things sorted by code, what is absent left out.
func (l *loader) canonical() []byte {
	c := l.c
	whole := map[string]any{
		"version": c.Version, "zone": c.Zone.Name(), "send_at": fmt.Sprintf("%02d:%02d", c.SendAt/60, c.SendAt%60),
		"spread_minutes": c.SpreadMinutes, "death_needs": c.DeathNeeds, "payee_limit": c.PayeeLimit,
	}
	departments, benefits, kinds, spans := []any{}, []any{}, []any{}, []any{}
	for _, d := range c.Departments {
		departments = append(departments, map[string]any{"code": d.Code, "name": d.Name})
	}
	for i := range c.Benefits {
		benefits = append(benefits, canonicalBenefit(&c.Benefits[i], l.benefits[i].accepts))
	}
	for i := range c.Kinds {
		kinds = append(kinds, canonicalKind(&c.Kinds[i], l.kinds[i].liftedBy))
	}
	for _, s := range c.NoLapse {
		span := map[string]any{"from": s.From, "to": s.To}
		if s.Benefit != "" {
			span["benefit"] = s.Benefit
		}
		spans = append(spans, span)
	}
	whole["departments"], whole["benefits"], whole["evidence_kinds"], whole["no_lapse"] = departments, benefits, kinds, spans
	text, err := json.Marshal(whole)
	if err == nil {
		text, err = jcs.Transform(text)
	}
	if err != nil {
		panic("catalogue: a valid catalogue has no canonical form: " + err.Error())
	}
	return text
}

func canonicalBenefit(b *Benefit, accepts any) map[string]any {
	m := map[string]any{
		"code": b.Code, "name": b.Name, "department": b.Department, "cycle_months": b.CycleMonths, "rule": b.Rule,
		"renew_after_months": b.RenewAfterMonths, "grace_days": b.GraceDays,
		"reminders": append([]int{}, b.Reminders...), "visit_days": b.VisitDays,
		"accepts": accepts, "exclusive_with": append([]string{}, b.ExclusiveWith...),
	}
	if b.Rule == FixedWindow {
		windows := []any{}
		for _, w := range b.Windows {
			windows = append(windows, map[string]string{"from": w.From.String(), "to": w.To.String()})
		}
		m["windows"] = windows
	}
	if b.CountsFrom != nil {
		m["counts_from"] = b.CountsFrom
	}
	if b.ExemptUntilAge != nil {
		m["exempt_until_age"] = *b.ExemptUntilAge
	}
	if b.Eligibility != "" {
		m["eligibility"] = b.Eligibility
	}
	return m
}

func canonicalKind(k *Kind, liftedBy any) map[string]any {
	m := map[string]any{"code": k.Code, "name": k.Name, "source": k.Source, "strength": k.Strength}
	if k.Strength == Strong {
		m["channel"] = strings.ToLower(k.Channel)
	}
	if k.Assurance != 0 {
		m["assurance"] = string(k.Assurance)
	}
	if k.Effect != "" {
		m["effect"] = k.Effect
	}
	if k.Lineage != "" {
		m["lineage"] = k.Lineage
	}
	if k.Reason != "" {
		m["reason"], m["lifted_by"] = k.Reason, liftedBy
	}
	return m
}

// Show is the canonical form, indented for people.
func (c *Catalogue) Show() []byte {
	var text bytes.Buffer
	if err := json.Indent(&text, c.canonical, "", "  "); err != nil {
		panic("catalogue: the canonical form is not JSON: " + err.Error())
	}
	return text.Bytes()
}
