package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
)

// auditHead is the end of the trail. It is locked while the trail grows, so that ids have no gaps and no two events have
// the same one before them; and it tells when the trail's end was cut off.
type auditHead struct {
	ID       uint64 `gorm:"primaryKey"`
	LastID   uint64
	LastHash string
}

// ChainHash returns the hash that an event has in the trail: the SHA-256, in lower-case hex, of these texts, each written
// as its length in bytes (decimal), a colon and itself:
//
//	"rollebro-audit-1", PrevHash, ID, CVR, At, Actor, Action, Identity, User, Role, ScopeType, ScopeValue, Reason, Plan,
//	Run, Outcome, Detail
//
// ID and Run are decimal; At is UTC with six decimals, 2006-01-02T15:04:05.000000Z; the first event's PrevHash is empty.
// It is the same on every kind of database, so that an exported trail can be checked without this program.
func ChainHash(e *rolecatalog.AuditEvent) string {
	var b strings.Builder
	for _, text := range []string{
		"rollebro-audit-1", e.PrevHash, strconv.FormatUint(e.ID, 10), e.CVR, micro(e.At).Format("2006-01-02T15:04:05.000000Z"),
		e.Actor, e.Action, e.Identity, e.User, e.Role, e.ScopeType, e.ScopeValue, e.Reason, e.Plan,
		strconv.FormatUint(e.Run, 10), e.Outcome, e.Detail,
	} {
		b.WriteString(strconv.Itoa(len(text)))
		b.WriteByte(':')
		b.WriteString(text)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// appendAudit adds events to the end of the trail. It is the last thing a transaction does: everybody waits for the head.
func (s *Store) appendAudit(tx *gorm.DB, events []rolecatalog.AuditEvent) error {
	if len(events) == 0 {
		return nil
	}
	var head auditHead
	if err := s.lock(tx).Table("audit_head").Where("id = 1").Take(&head).Error; err != nil {
		return fmt.Errorf("finding the end of the audit trail: %w", err)
	}
	now := s.now()
	for i := range events {
		e := &events[i]
		tidyAudit(e, now)
		head.LastID++
		e.ID, e.PrevHash = head.LastID, head.LastHash
		e.Hash = ChainHash(e)
		head.LastHash = e.Hash
	}
	if err := insert(s, tx, "audit_events", events, nil); err != nil {
		return fmt.Errorf("writing the audit trail: %w", err)
	}
	err := tx.Exec("UPDATE audit_head SET last_id = ?, last_hash = ? WHERE id = 1", head.LastID, head.LastHash).Error
	if err != nil {
		return fmt.Errorf("moving the end of the audit trail: %w", err)
	}
	return nil
}

// tidyAudit makes an event storable before its hash is taken. The trail must not refuse an event because a text in it is
// too long for its column: it is cut.
func tidyAudit(e *rolecatalog.AuditEvent, now time.Time) {
	if e.At.IsZero() {
		e.At = now
	}
	e.At = micro(e.At)
	for _, f := range []struct {
		text *string
		most int
	}{
		{&e.CVR, 16},
		{&e.Actor, 255},
		{&e.Action, 64},
		{&e.Identity, 64},
		{&e.User, 255},
		{&e.Role, 64},
		{&e.ScopeType, 64},
		{&e.ScopeValue, 255},
		{&e.Reason, 1 << 20},
		{&e.Plan, 128},
		{&e.Outcome, 32},
		{&e.Detail, 1 << 20},
	} {
		*f.text = cut(*f.text, f.most)
	}
}

// cut returns the text as valid UTF-8, with at most n characters.
func cut(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	count := 0
	for i := range text {
		if count == n {
			return text[:i]
		}
		count++
	}
	return text
}

// Audit returns events, newest first.
func (s *Store) Audit(ctx context.Context, f rolecatalog.AuditFilter) ([]rolecatalog.AuditEvent, error) {
	db := s.read.WithContext(ctx).Table("audit_events")
	for _, w := range []struct{ column, value string }{{"cvr", f.CVR}, {"identity", f.Identity}, {"user", f.User}, {"plan", f.Plan}} {
		if w.value != "" {
			db = db.Where("`"+w.column+"` = ?", w.value)
		}
	}
	if len(f.Actions) > 0 {
		db = db.Where("action IN ?", f.Actions)
	}
	if !f.Since.IsZero() {
		db = db.Where("at >= ?", micro(f.Since))
	}
	if f.BeforeID > 0 {
		db = db.Where("id < ?", f.BeforeID)
	}
	if f.Limit > 0 {
		db = db.Limit(f.Limit)
	}
	var events []rolecatalog.AuditEvent
	if err := db.Order("id DESC").Find(&events).Error; err != nil {
		return nil, s.mapError(ctx, "reading the audit trail", err)
	}
	return events, nil
}

// VerifyAudit walks the whole trail: every event's hash, that none is missing, and that it ends where it should. It
// returns how many events it checked, and ErrBrokenChain with the first break.
func (s *Store) VerifyAudit(ctx context.Context) (int, error) {
	checked, prev := 0, ""
	err := s.view(ctx, "checking the audit trail", func(tx *gorm.DB) error {
		checked, prev = 0, ""
		var head auditHead
		if err := tx.Table("audit_head").Where("id = 1").Take(&head).Error; err != nil {
			if errors.Is(err, gorm.ErrRecordNotFound) {
				return fmt.Errorf("%w: its end is not recorded any more", ErrBrokenChain)
			}
			return err
		}
		for {
			var events []rolecatalog.AuditEvent
			if err := tx.Table("audit_events").Where("id > ?", checked).Order("id").Limit(chunk).Find(&events).Error; err != nil {
				return err
			}
			for i := range events {
				e := &events[i]
				switch {
				case e.ID != uint64(checked)+1:
					return fmt.Errorf("%w: event %d is missing", ErrBrokenChain, checked+1)
				case e.PrevHash != prev:
					return fmt.Errorf("%w: event %d does not follow the one before it", ErrBrokenChain, e.ID)
				case e.Hash != ChainHash(e):
					return fmt.Errorf("%w: event %d is not as it was written", ErrBrokenChain, e.ID)
				}
				checked, prev = checked+1, e.Hash
			}
			if len(events) < chunk {
				break
			}
		}
		if head.LastID != uint64(checked) || head.LastHash != prev {
			return fmt.Errorf("%w: it ends with event %d, and should end with %d", ErrBrokenChain, checked, head.LastID)
		}
		return nil
	})
	return checked, err
}

// RemovalsSince counts the grants whose removal was begun and has not been seen to fail, without those that a person approved.
func (s *Store) RemovalsSince(ctx context.Context, cvr string, since time.Time) (total int, byRole map[string]int, err error) {
	var rows []struct {
		Role    string
		Outcome string
		N       int
	}
	err = s.read.WithContext(ctx).Raw("SELECT role, outcome, COUNT(*) AS n FROM audit_events "+
		"WHERE cvr = ? AND action = ? AND at >= ? AND outcome IN (?, ?) "+
		"AND plan NOT IN (SELECT id FROM plans WHERE cvr = ? AND release_used = ?) GROUP BY role, outcome",
		cvr, rolecatalog.AuditRemove, micro(since), rolecatalog.OutcomeIntended, rolecatalog.OutcomeFailed, cvr, true).Scan(&rows).Error
	if err != nil {
		return 0, nil, s.mapError(ctx, "counting removals", err)
	}
	byRole = map[string]int{}
	for _, r := range rows {
		if r.Outcome == rolecatalog.OutcomeFailed {
			r.N = -r.N
		}
		byRole[r.Role] += r.N
	}
	for role, n := range byRole {
		if n <= 0 { // begun before, failed since
			delete(byRole, role)
			continue
		}
		total += n
	}
	return total, byRole, nil
}
