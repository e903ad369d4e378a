package plan

import "iter"

// UserChanges is what a plan says about one identity. The slices are the plan's own.
type UserChanges struct {
	Identity, User, Name        string
	Adds, Removes, Keeps, Skips []Change
}

// Matches reports whether there is nothing but agreement.
func (u UserChanges) Matches() bool { return len(u.Adds)+len(u.Removes)+len(u.Skips) == 0 }

// Differences goes through what doesn't match: adds, removes, skips.
func (u UserChanges) Differences() iter.Seq[*Change] { return each(u.Adds, u.Removes, u.Skips) }

// All goes through everything: adds, removes, keeps, skips.
func (u UserChanges) All() iter.Seq[*Change] { return each(u.Adds, u.Removes, u.Keeps, u.Skips) }

func each(sections ...[]Change) iter.Seq[*Change] {
	return func(yield func(*Change) bool) {
		for _, s := range sections {
			for i := range s {
				if !yield(&s[i]) {
					return
				}
			}
		}
	}
}

// Users goes through the plan by identity, in order. An identity with no grant on either side isn't in a plan.
func (p *Plan) Users() iter.Seq[UserChanges] {
	return func(yield func(UserChanges) bool) {
		var rest [len(verbs)][]Change
		for i, v := range verbs {
			rest[i] = p.section(v)
		}
		for {
			// Every section is in order of identity, so the next identity is the least of those they begin with.
			var first *Change
			for _, s := range rest {
				if len(s) > 0 && (first == nil || s[0].Identity < first.Identity) {
					first = &s[0]
				}
			}
			if first == nil {
				return
			}
			var own [len(verbs)][]Change
			for i, s := range rest {
				n := 0
				for n < len(s) && s[n].Identity == first.Identity {
					n++
				}
				own[i], rest[i] = s[:n:n], s[n:]
			}
			u := UserChanges{Identity: first.Identity, User: first.User, Name: first.Name}
			u.Adds, u.Removes, u.Keeps, u.Skips = own[0], own[1], own[2], own[3]
			if !yield(u) {
				return
			}
		}
	}
}
