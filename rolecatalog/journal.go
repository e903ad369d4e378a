package rolecatalog

import (
	"context"
	"fmt"
)

// journal brings the records of many workers to the database in few transactions: what several of them hand in while a
// transaction runs goes into the next one together. A worker waits until its records are kept.
type journal struct {
	b       *Bridge
	entries chan entry
	closed  chan struct{}
}

type entry struct {
	changes *Changes
	kept    chan error
}

// openJournal starts the journal; close it when no worker uses it any more. It goes on writing when ctx ends, because what
// has been done must be recorded all the same.
func (b *Bridge) openJournal(ctx context.Context) *journal {
	j := &journal{b: b, entries: make(chan entry, 4*b.o.Concurrency), closed: make(chan struct{})}
	go func() {
		defer close(j.closed)
		for first := range j.entries {
			j.keep(context.WithoutCancel(ctx), first)
		}
	}()
	return j
}

func (j *journal) close() {
	close(j.entries)
	<-j.closed
}

// keep commits an entry together with all that are waiting behind it.
func (j *journal) keep(ctx context.Context, first entry) {
	batch := []entry{first}
	all := *first.changes
	for more := true; more && len(batch) < cap(j.entries); {
		select {
		case e, open := <-j.entries:
			if !open {
				more = false
				break
			}
			batch = append(batch, e)
			all.Identities = append(all.Identities, e.changes.Identities...)
			all.Observed = append(all.Observed, e.changes.Observed...)
			all.Attempts = append(all.Attempts, e.changes.Attempts...)
			all.ClearedAttempts = append(all.ClearedAttempts, e.changes.ClearedAttempts...)
			all.Mark = append(all.Mark, e.changes.Mark...)
			all.Audit = append(all.Audit, e.changes.Audit...)
		default:
			more = false
		}
	}
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("a bug in the store: %v", p)
			}
		}()
		return j.b.commit(ctx, &all)
	}()
	for _, e := range batch {
		e.kept <- err
	}
}

// write keeps changes and returns when they are kept, or why they are not.
func (j *journal) write(c Changes) error {
	e := entry{changes: &c, kept: make(chan error, 1)}
	j.entries <- e
	if err := <-e.kept; err != nil {
		return fmt.Errorf("recording in the audit trail: %w", err)
	}
	return nil
}
