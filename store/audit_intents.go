package store

import (
	"context"
	"time"

	"github.com/rollebro/rollebro/rolecatalog"
)

// OpenIntents returns the announced writes of which nobody knows what became.
func (s *Store) OpenIntents(ctx context.Context, cvr string, since time.Time) ([]rolecatalog.AuditEvent, error) {
	var events []rolecatalog.AuditEvent
	// Any later event of the same write closes it: an outcome, or a new announcement that stands for it.
	err := s.read.WithContext(ctx).Table("audit_events AS a").
		Where("a.cvr = ? AND a.action IN (?, ?) AND a.at >= ? AND a.outcome IN (?, ?)",
			cvr, rolecatalog.AuditAdd, rolecatalog.AuditRemove, micro(since), rolecatalog.OutcomeIntended, rolecatalog.OutcomeUnknown).
		Where("NOT EXISTS (SELECT 1 FROM audit_events b WHERE b.identity = a.identity AND b.id > a.id AND b.cvr = a.cvr AND b.action = a.action " +
			"AND b.role = a.role AND b.scope_type = a.scope_type AND b.scope_value = a.scope_value)").
		Order("a.id").Find(&events).Error
	if err != nil {
		return nil, s.mapError(ctx, "looking for writes without an outcome", err)
	}
	return events, nil
}
