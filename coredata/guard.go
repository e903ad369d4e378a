package coredata

import (
	"fmt"
	"strings"
)

// The guard's limits where the options name none.
const (
	defaultGuardCount   = 50
	defaultGuardPercent = 20
)

// toll is what a load would cost, counted after everything that doesn't count has been filtered out.
type toll struct {
	active    int // people in scope that CoreData has loaded and not locked
	locked    int // people
	recreated int // people deleted and created anew, because their CPR number or uuid has changed
	removed   int // people deleted

	groups        int // in the domain
	groupsDeleted int
	groupsEmptied int

	holders int // people in scope that have KOMBIT roles
	losing  int // people who lose all of theirs
}

// limit is how many of base may be affected.
func (o *Options) limit(base int) int {
	count, percent := o.GuardCount, o.GuardPercent
	if count == 0 && percent == 0 {
		count, percent = defaultGuardCount, defaultGuardPercent
	}
	return max(count, base*percent/100)
}

// pay lets a load through that stays within the limits, or for which a release is waiting; it uses that up. Otherwise it
// returns the refusal, with all figures.
func (d *deciding) pay() error {
	t, o := &d.toll, &d.c.s.Options
	var over []string
	judge := func(affected, base int, text string) {
		if limit := o.limit(base); affected > limit {
			over = append(over, fmt.Sprintf("%s (højst %d tilladt)", text, limit))
		}
	}
	// Who is deleted and created anew may have been locked before, so the base is at least as large as what is lost.
	judge(t.locked+t.recreated+t.removed, t.active, fmt.Sprintf(
		"af %d aktive personer ville %d blive låst, %d slettet og oprettet på ny, %d slettet", t.active, t.locked, t.recreated, t.removed))
	judge(t.groupsDeleted+t.groupsEmptied, t.groups, fmt.Sprintf(
		"af %d grupper ville %d blive slettet og %d tømt", t.groups, t.groupsDeleted, t.groupsEmptied))
	judge(t.losing, t.holders, fmt.Sprintf("af %d personer med KOMBIT roller ville %d miste alle", t.holders, t.losing))
	if len(over) == 0 {
		return nil
	}
	figures := strings.Join(over, "; ")
	if d.tree.Release == nil {
		name := d.tree.Master.Name
		return refusef("Spærren mod masseændringer har afvist indlæsningen af domæne %s: %s. Intet er ændret. Er det meningen, "+
			"så lad den næste indlæsning slippe igennem med: rollebro domain allow-next-load %s --by NAVN --reason ÅRSAG",
			shown(d.c.named), figures, quoted(name))
	}
	used := *d.tree.Release
	at := d.c.now
	used.UsedAt = &at
	d.changes.Release = &used
	d.trail.domain("guard released by "+used.By+": "+used.Reason, figures)
	d.warnf("spærren mod masseændringer er ophævet for denne indlæsning af %s: %s", shown(used.By), figures)
	return nil
}

// quoted makes a name fit for a command line.
func quoted(name string) string {
	if strings.ContainsAny(name, " '\"$`\\;&|<>()*?!") {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}
