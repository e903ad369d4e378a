package coredata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/rolecatalog"
)

const manyPeople = 100_000

// big gives a service whose memory holds many people, and their full load.
func big(b *testing.B) (*Service, *memory, string) {
	b.Helper()
	s, m := newService(b)
	m.fast = true
	load := people(manyPeople, nil)
	ok(b, s, (*Service).Full, load)
	return s, m, load
}

// asking is a store that has the decision taken on one tree and throws it away.
type asking struct {
	*memory

	trees map[Part]*Tree
}

func (a *asking) ChangeTree(_ context.Context, _ string, _ uint64, parts Part, decide func(*Tree) (*Changes, error)) error {
	if a.trees[parts] == nil {
		a.trees[parts] = a.tree(1, parts)
	}
	_, err := decide(a.trees[parts])
	return err
}

func BenchmarkDecode(b *testing.B) {
	load := people(manyPeople, nil)
	b.SetBytes(int64(len(load)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePeople(strings.NewReader(load)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(manyPeople)*float64(b.N)/b.Elapsed().Seconds(), "people/s")
}

// benchmarkDecide measures checking and deciding alone.
func benchmarkDecide(b *testing.B, load string) {
	b.Helper()
	s, m, _ := big(b)
	s.Store = &asking{m, make(map[Part]*Tree)}
	body, err := decodePeople(strings.NewReader(load))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c := s.begin("full load", "skovby.dk", testCaller)
		l, err := c.validate(b.Context(), body, true)
		if err != nil {
			b.Fatal(err)
		}
		err = c.decide(b.Context(), PartPeople, func(d *deciding) error {
			return (&loading{deciding: d, load: l, zone: denmark(), scratch: &rolecatalog.User{}}).decide()
		})
		if refusal, bad := errors.AsType[*Refusal](err); err != nil && !bad {
			b.Fatal(refusal, err)
		}
	}
	b.ReportMetric(float64(manyPeople)*float64(b.N)/b.Elapsed().Seconds(), "people/s")
}

func BenchmarkDecideUnchanged(b *testing.B) { benchmarkDecide(b, people(manyPeople, nil)) }

func BenchmarkDecideAllChanged(b *testing.B) {
	benchmarkDecide(b, strings.ReplaceAll(people(manyPeople, nil), "Afdeling", "Kontor"))
}

func BenchmarkDecideManyLocked(b *testing.B) {
	benchmarkDecide(b, people(manyPeople, func(i int) bool { return i%10 == 0 }))
}

func BenchmarkGroups(b *testing.B) {
	s, m, _ := big(b)
	store := &asking{m, make(map[Part]*Tree)}
	s.Store = store
	var list []string
	for g := range 1000 {
		var members []string
		for i := range 1000 {
			members = append(members, fmt.Sprintf(`"00000000-0000-4000-8000-%012d"`, (g*37+i*101)%manyPeople))
		}
		list = append(list, fmt.Sprintf(`{"uuid":"g%d","name":"G","members":[%s]}`, g, strings.Join(members, ",")))
	}
	body := `{"domain":"skovby.dk","groups":[` + strings.Join(list, ",") + `]}`
	load := func() {
		if _, err := s.GroupsFull(b.Context(), strings.NewReader(body), testCaller); err != nil {
			b.Fatal(err)
		}
	}
	s.Store = m
	load()
	for id, g := range m.groups {
		slices.Sort(g.Members)
		m.groups[id] = g
	}
	s.Store = store
	b.ReportAllocs()
	for b.Loop() {
		load()
	}
}
