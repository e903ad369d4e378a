package coredata

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// DefaultCallDays is how many days the call log is kept.
const DefaultCallDays = 30

// silence is how long a domain may go without a load before somebody should look why.
const silence = 7 * 24 * time.Hour

// PruneCalls deletes the calls that are older than days from the call log and returns how many they were.
func PruneCalls(ctx context.Context, store Store, now time.Time, days int) (int, error) {
	n, err := store.PruneCalls(ctx, now.AddDate(0, 0, -days))
	if err != nil {
		return 0, fmt.Errorf("pruning the call log: %w", err)
	}
	return n, nil
}

// Silent returns the master domains, by name, that have been loaded before but not in the last 7 days: the client that loads
// them may have stopped.
func Silent(ctx context.Context, store Store, now time.Time) ([]string, error) {
	last, err := store.LastLoads(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading when domains were loaded last: %w", err)
	}
	var names []string
	for name, at := range last {
		if now.Sub(at) > silence {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
