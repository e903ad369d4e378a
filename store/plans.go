package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
)

// planRow is a plan without its document. The document is kept compressed and in parts: MariaDB takes no more than 16 MiB
// in one statement unless told otherwise, and a plan may be larger.
type planRow struct {
	CVR         string
	ID          string
	Effect      string
	Selection   string
	Status      rolecatalog.PlanStatus
	DryRun      bool
	Adds        int
	Removes     int
	Keeps       int
	Skips       int
	CreatedAt   time.Time
	ApprovedAt  *time.Time
	ApprovedBy  string
	ApproveWhy  string
	ReleaseUsed bool
	AppliedAt   *time.Time
}

func (r *planRow) record() rolecatalog.PlanRecord {
	return rolecatalog.PlanRecord{
		CVR: r.CVR, ID: r.ID, Effect: r.Effect, Selection: r.Selection, Status: r.Status, DryRun: r.DryRun,
		Adds: r.Adds, Removes: r.Removes, Keeps: r.Keeps, Skips: r.Skips, CreatedAt: r.CreatedAt,
		ApprovedAt: r.ApprovedAt, ApprovedBy: r.ApprovedBy, ApproveWhy: r.ApproveWhy, ReleaseUsed: r.ReleaseUsed, AppliedAt: r.AppliedAt,
	}
}

// planPart is one piece of a plan's compressed document.
type planPart struct {
	CVR    string `gorm:"primaryKey"`
	PlanID string `gorm:"primaryKey"`
	Part   int    `gorm:"primaryKey;autoIncrement:false"`
	Data   []byte
}

// partSize is how many bytes a part has at most.
const partSize = 1 << 20

// SavePlan stores a plan, or brings the stored one with the same id up to date. What is stored of an approval stays, unless
// p brings a newer one; so does a document, when p has none. While an approval waits to be used the plan stays approved,
// whatever it was computed as since. p is then as stored.
func (s *Store) SavePlan(ctx context.Context, p *rolecatalog.PlanRecord) error {
	if p == nil || p.ID == "" {
		return fmt.Errorf("storing a plan: %w: it has no id", ErrInvalid)
	}
	document, err := compress(p.Document)
	if err != nil {
		return fmt.Errorf("storing a plan: %w", err)
	}
	var rows []planRow
	err = s.update(ctx, "storing a plan", func(tx *gorm.DB) error {
		row := planRow{
			CVR: p.CVR, ID: p.ID, Effect: p.Effect, Selection: p.Selection, Status: p.Status, DryRun: p.DryRun,
			Adds: p.Adds, Removes: p.Removes, Keeps: p.Keeps, Skips: p.Skips, CreatedAt: p.CreatedAt,
			ApprovedAt: p.ApprovedAt, ApprovedBy: p.ApprovedBy, ApproveWhy: p.ApproveWhy, ReleaseUsed: p.ReleaseUsed, AppliedAt: p.AppliedAt,
		}
		if err := own(&row.CVR, ""); err != nil {
			return err
		}
		err := withinLimits(most{"a plan's id", p.ID, 128}, most{"a plan's effect", p.Effect, 128}, most{"a plan's status", string(p.Status), 16})
		if err != nil {
			return err
		}
		var stored planRow
		err = s.lock(tx).Table("plans").Where("cvr = ? AND id = ?", p.CVR, p.ID).Take(&stored).Error
		switch {
		case err == nil:
			row = merged(stored, row)
		case !errors.Is(err, gorm.ErrRecordNotFound):
			return err
		}
		rows = []planRow{row}
		if err := replace(s, tx, "plans", rows, []string{"cvr", "id"}, []string{
			"effect", "selection", "status", "dry_run", "adds", "removes", "keeps", "skips", "created_at", "approved_at", "approved_by",
			"approve_why", "release_used", "applied_at",
		}); err != nil {
			return err
		}
		if len(document) == 0 {
			return nil
		}
		return s.saveDocument(tx, row.CVR, row.ID, document)
	})
	if err != nil {
		return err
	}
	kept := p.Document
	*p = rows[0].record()
	p.Document = kept
	return nil
}

// merged is what becomes of a stored plan when it comes again.
func merged(stored, p planRow) planRow {
	newer := p.ApprovedAt != nil && (stored.ApprovedAt == nil || micro(*p.ApprovedAt).After(*stored.ApprovedAt))
	if !newer {
		p.ApprovedAt, p.ApprovedBy, p.ApproveWhy = stored.ApprovedAt, stored.ApprovedBy, stored.ApproveWhy
		p.ReleaseUsed = p.ReleaseUsed || stored.ReleaseUsed
	}
	waiting := p.ApprovedAt != nil && !p.ReleaseUsed
	if waiting && (p.Status == rolecatalog.PlanBlocked || p.Status == rolecatalog.PlanComputed) {
		p.Status = rolecatalog.PlanApproved
	}
	if p.AppliedAt == nil {
		p.AppliedAt = stored.AppliedAt
	}
	if p.CreatedAt.IsZero() {
		p.CreatedAt = stored.CreatedAt
	}
	return p
}

func (s *Store) saveDocument(tx *gorm.DB, cvr, id string, document []byte) error {
	if err := tx.Table("plan_parts").Where("cvr = ? AND plan_id = ?", cvr, id).Delete(&planPart{}).Error; err != nil {
		return err
	}
	var parts []planPart
	for data := range slices.Chunk(document, partSize) {
		parts = append(parts, planPart{CVR: cvr, PlanID: id, Part: len(parts), Data: data})
	}
	return insert(s, tx, "plan_parts", parts, nil)
}

// Plan returns a plan with its document. id may be the beginning of one, of at least 6 characters; ErrAmbiguous: more than
// one begins so.
func (s *Store) Plan(ctx context.Context, cvr, id string) (rolecatalog.PlanRecord, error) {
	var p rolecatalog.PlanRecord
	err := s.view(ctx, "reading a plan", func(tx *gorm.DB) error {
		row, err := findPlan(tx, cvr, id)
		if err != nil {
			return err
		}
		p = row.record()
		var parts []planPart
		if err := tx.Table("plan_parts").Where("cvr = ? AND plan_id = ?", cvr, row.ID).Order("part").Find(&parts).Error; err != nil {
			return err
		}
		var document []byte
		for _, part := range parts {
			document = append(document, part.Data...)
		}
		p.Document, err = decompress(document)
		return err
	})
	return p, err
}

func findPlan(tx *gorm.DB, cvr, id string) (planRow, error) {
	var row planRow
	err := tx.Table("plans").Where("cvr = ? AND id = ?", cvr, id).Take(&row).Error
	if !errors.Is(err, gorm.ErrRecordNotFound) || len(id) < 6 {
		return row, err
	}
	var rows []planRow
	err = tx.Table("plans").Where("cvr = ? AND id > ? AND id < ?", cvr, id, id+"\U0010FFFF").Order("id").Limit(2).Find(&rows).Error
	switch {
	case err != nil:
		return row, err
	case len(rows) == 0:
		return row, gorm.ErrRecordNotFound
	case len(rows) > 1:
		return row, ErrAmbiguous
	}
	return rows[0], nil
}

// Plans returns the plans computed last, newest first, without their documents. limit 0: all.
func (s *Store) Plans(ctx context.Context, cvr string, limit int) ([]rolecatalog.PlanRecord, error) {
	db := s.read.WithContext(ctx).Table("plans").Where("cvr = ?", cvr).Order("created_at DESC, id")
	if limit > 0 {
		db = db.Limit(limit)
	}
	var rows []planRow
	if err := db.Find(&rows).Error; err != nil {
		return nil, s.mapError(ctx, "reading plans", err)
	}
	plans := make([]rolecatalog.PlanRecord, len(rows))
	for i := range rows {
		plans[i] = rows[i].record()
	}
	return plans, nil
}

// ApprovalFor returns the plan, without its document, whose approval for this effect waits to be used.
func (s *Store) ApprovalFor(ctx context.Context, cvr, effect string) (rolecatalog.PlanRecord, error) {
	var row planRow
	err := s.read.WithContext(ctx).Table("plans").
		Where("cvr = ? AND effect = ? AND status = ? AND approved_at IS NOT NULL AND release_used = ?", cvr, effect, rolecatalog.PlanApproved, false).
		Order("approved_at DESC, id").Take(&row).Error
	if err != nil {
		return rolecatalog.PlanRecord{}, s.mapError(ctx, "finding an approval", err)
	}
	return row.record(), nil
}

// Prune deletes plans that were computed, and runs that ended, before these times. It keeps what is in use: an approval
// that waits, the plan that caused the quarantine, the plan of a run that is under way. The audit trail is never pruned.
func (s *Store) Prune(ctx context.Context, cvr string, plansBefore, runsBefore time.Time) (int, error) {
	gone := 0
	err := s.update(ctx, "deleting what is past its retention", func(tx *gorm.DB) error {
		gone = 0
		var ids []string
		err := tx.Raw("SELECT id FROM plans WHERE cvr = ? AND created_at < ? AND NOT (status = ? AND release_used = ?) "+
			"AND id NOT IN (SELECT quarantine_plan FROM bridge_states WHERE cvr = ?) "+
			"AND id NOT IN (SELECT plan FROM runs WHERE cvr = ? AND outcome = ?)",
			cvr, micro(plansBefore), rolecatalog.PlanApproved, false, cvr, cvr, scheduler.Running).Scan(&ids).Error
		if err != nil {
			return err
		}
		err = inChunks(ids, func(part []string) error {
			if err := in(s, tx.Table("plan_parts").Where("cvr = ?", cvr), "plan_id", part).Delete(&planPart{}).Error; err != nil {
				return err
			}
			done := in(s, tx.Table("plans").Where("cvr = ?", cvr), "id", part).Delete(&planRow{})
			gone += int(done.RowsAffected)
			return done.Error
		})
		if err != nil {
			return err
		}
		done := tx.Exec("DELETE FROM runs WHERE cvr = ? AND started_at < ? AND finished_at IS NOT NULL", cvr, micro(runsBefore))
		gone += int(done.RowsAffected)
		return done.Error
	})
	return gone, err
}

func compress(document []byte) ([]byte, error) {
	if len(document) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(document); err != nil {
		return nil, fmt.Errorf("compressing the document: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing the document: %w", err)
	}
	return b.Bytes(), nil
}

func decompress(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decompressing the document: %w", err)
	}
	document, err := io.ReadAll(z) // written by this program
	if err != nil {
		return nil, fmt.Errorf("decompressing the document: %w", err)
	}
	return document, nil
}
