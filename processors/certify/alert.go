package certify

import (
	"cmp"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// condition is an alert's condition that is true of a citizen.
type condition struct {
	rule, subject string
	benefits      []string // nil: all enrolments
	sighting      sighting // the fact, unless it is none
}

// raise gives an alert for every condition that the input has made true.
func (r *Rules) raise(before, after *view, in *input, d *Decision) {
	if len(after.enrolments) == 0 {
		return
	}
	now := r.conditions(after)
	if len(now) == 0 {
		return
	}
	var known []condition
	if len(before.enrolments) > 0 {
		known = r.conditions(before)
	}
	for _, c := range now {
		if !slices.ContainsFunc(known, func(k condition) bool { return k.rule == c.rule && k.subject == c.subject }) {
			d.Alerts = append(d.Alerts, r.alert(c, after, in))
		}
	}
	slices.SortFunc(d.Alerts, func(a, b schemas.Alert) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
	})
}

// conditions lists the conditions that are true of an enrolled citizen.
func (r *Rules) conditions(v *view) (all []condition) {
	if !v.conflict.none() {
		all = append(all, condition{"death_conflict", v.deathOn.String(), nil, v.conflict})
	}
	if !v.use.none() {
		all = append(all, condition{"posthumous_use", v.deathOn.String(), nil, v.use})
	}
	for _, review := range v.reviews {
		all = append(all, condition{"needs_review", review.subject, nil, review.sighting})
	}
	for i := range v.enrolments {
		for j := i + 1; j < len(v.enrolments); j++ {
			a, b := &r.catalogue.Benefits[v.enrolments[i].benefit], &r.catalogue.Benefits[v.enrolments[j].benefit]
			if slices.Contains(a.ExclusiveWith, b.Code) || slices.Contains(b.ExclusiveWith, a.Code) {
				all = append(all, condition{"exclusive_benefits", a.Code + "+" + b.Code, []string{a.Code, b.Code}, sighting{}})
			}
		}
	}
	return all
}

func (r *Rules) alert(c condition, v *view, in *input) schemas.Alert {
	a := schemas.Alert{
		EventID:   schemas.EventID("alert", c.rule, in.citizen, in.at.String(), c.subject),
		CitizenID: in.citizen, Rule: c.rule, Subject: c.subject, At: in.at,
		Benefits: c.benefits, Facts: []schemas.Fact{}, Catalogue: r.catalogue.Hash(),
	}
	if a.Benefits == nil {
		for i := range v.enrolments {
			a.Benefits = append(a.Benefits, r.catalogue.Benefits[v.enrolments[i].benefit].Code)
		}
	}
	if !c.sighting.none() {
		a.Facts = append(a.Facts,
			schemas.Fact{Name: "kind", Value: c.sighting.kind},
			schemas.Fact{Name: "occurred_at", Value: c.sighting.at.String()})
	}
	return a
}
