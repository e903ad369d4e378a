package plan

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// organisation makes users with four grants each, over 200 roles. One in a hundred differs: half of those lack a grant,
// and half have one too many.
func organisation(users int) *world {
	w := &world{observed: make(Observed, users), options: testOptions()}
	w.options.Catalogue = Catalogue{Roles: make(map[string]Role, 200)}
	var roles [200]string
	for i := range roles {
		roles[i] = fmt.Sprintf("6f1c2d3e-0000-4000-8000-%012d", i*7919)
		w.options.Catalogue.Roles[roles[i]] = Role{Name: fmt.Sprintf("Systemrolle %d", i)}
	}
	w.desired.Subjects = make([]Subject, users)
	for i := range users {
		s := Subject{
			// Spread, as uuids are, so that the input is far from sorted.
			Identity: fmt.Sprintf("%08x-0000-4000-8000-%012d", uint32(i)*2654435761, i),
			User:     fmt.Sprintf("user%05d", i), Name: fmt.Sprintf("Fornavn Efternavn %d", i),
		}
		var held []ObservedGrant
		for j := range 4 {
			g := Grant{Role: roles[(i*31+j*57)%len(roles)], Scope: Scope{Cvr, ourCVR}}
			if j%2 == 1 {
				g.Scope = Scope{PU, fmt.Sprintf("10%08d", i%500)}
			}
			if i%200 != 0 || j > 0 {
				held = append(held, ObservedGrant{Grant: g, RoleName: "som MitID Erhverv kalder den"})
			}
			if i%200 != 100 || j > 0 {
				s.Grants = append(s.Grants, DesiredGrant{Grant: g, Because: []string{"direct: Jobfunktionsrolle"}})
			}
		}
		w.desired.Subjects[i] = s
		w.observed[s.Identity] = Observation{State: Read, Grants: held}
	}
	return w
}

const (
	manyUsers = 50_000
	maxMemory = 300 << 20
	maxTime   = 2 * time.Second
)

// heapOf runs f without garbage collection and gives what it allocated in all: no less than the most it ever needed.
func heapOf(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestComputeFitsInMemory isn't parallel: the memory that it measures is the whole process's.
func TestComputeFitsInMemory(t *testing.T) {
	w := organisation(manyUsers)
	var p *Plan
	used := heapOf(func() { p = w.compute(t) })
	if want := (Counts{Add: 250, Remove: 250, Keep: 199_500}); p.Counts != want {
		t.Errorf("counted %+v, want %+v", p.Counts, want)
	}
	if used > maxMemory {
		t.Errorf("the plan took %d MB, more than %d", used>>20, maxMemory>>20)
	}
}

func BenchmarkCompute50000Users200000Grants(b *testing.B) {
	w := organisation(manyUsers)
	var input runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&input)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compute(w.desired, w.observed, w.options); err != nil {
			b.Fatal(err)
		}
	}
	if each := b.Elapsed() / time.Duration(b.N); each > maxTime {
		b.Errorf("a plan took %s, more than %s", each, maxTime)
	}
	used := heapOf(func() {
		if _, err := Compute(w.desired, w.observed, w.options); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(float64(used)/(1<<20), "MB-needed")
	b.ReportMetric(float64(input.HeapAlloc)/(1<<20), "MB-input")
	if used+input.HeapAlloc > maxMemory {
		b.Errorf("input and plan took %d MB, more than %d", (used+input.HeapAlloc)>>20, maxMemory>>20)
	}
}

func BenchmarkWrite50000Users200000Grants(b *testing.B) {
	w := organisation(manyUsers)
	p, err := Compute(w.desired, w.observed, w.options)
	if err != nil {
		b.Fatal(err)
	}
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := Write(io.Discard, p, format, RenderOptions{Verbose: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
