package simulator

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// The scope types as MitID Erhverv writes them, in exactly this mixed case.
const (
	ScopeCVR = "Cvr" // the whole organisation; the value is its CVR number
	ScopePU  = "PU"  // a production unit; the value is its P-number, ten digits
	ScopeSE  = "SE"  // the value is an SE-number, eight digits
)

// The statuses of an identity.
const (
	StatusActive    = "Active"
	StatusSuspended = "Suspended"
	StatusPending   = "Pending" // created or imported, not yet activated
)

// The administrator roles of an employee. They are not rights: no call grants them.
const (
	OrganizationAdministrator = "OrganizationAdministrator"
	IdentityAdministrator     = "IdentityAdministrator"
	RightsAdministrator       = "RightsAdministrator"
)

// The types of authenticators. The private MitID is asked for by its old name and answered by its new one.
const (
	LocalIdentityProvider = "LocalIdentityProvider"
	privateMitIDAsked     = "PrivateNemIdMitId"
	PrivateMitID          = "PrivateMitId"
)

// world is the state of one organisation. Every part has its own lock, so that calls about different people do not wait
// for each other. Locks are taken in this order: moving, identity.mu, subjects.mu, shard.mu, order.mu, groups.mu.
type world struct {
	cvr  string
	seed uint64

	catalogue atomic.Pointer[catalogue] // replaced as a whole, under changing
	numbers   atomic.Pointer[numbers]   // replaced as a whole, under changing
	changing  sync.Mutex
	shards    [64]shard
	moving    sync.Mutex // held while identities change their UUID
	subjects  struct {   // local user names, in lower case, and who has them
		mu    sync.Mutex
		owner map[string]*identity
	}
	order struct { // every identity that was ever made, oldest first
		mu  sync.RWMutex
		all []*identity
	}
	groups struct {
		mu     sync.RWMutex
		byUUID map[uuid.UUID]*group
	}
	made atomic.Uint64 // UUIDs drawn since the seeding
	ids  atomic.Int64  // employee ids given
}

type shard struct {
	mu     sync.RWMutex
	byUUID map[uuid.UUID]*identity
}

// role is one right of the national catalogue. Only listed changes after it was made.
type role struct {
	uuid        uuid.UUID
	name        string
	description string
	basic       bool // part of the basic package
	internal    bool
	listed      atomic.Bool // in the catalogue; a role that is not can still be held
}

type catalogue struct {
	roles  []*role
	byUUID map[uuid.UUID]*role
}

// numbers are the organisation's P- and SE-numbers.
type numbers struct {
	units   []unit
	unitSet map[string]bool
	se      []string
	seSet   map[string]bool
}

type unit struct {
	number string
	name   string
	street string
	house  string
}

// grant is one assignment: its key is the role with the scope's type and value.
type grant struct {
	role      *role
	scopeType string
	value     string
}

type authenticator struct {
	uuid   uuid.UUID
	kind   string
	status string
	id     string // the local user id; empty for a private MitID
}

// stage is how far an imported user has come.
type stage uint8

const (
	notImported stage = iota
	imported          // from NemID's days, untouched
	drafted           // has a draft profile
	ordered           // has an activation order
)

type identity struct {
	mu             sync.Mutex
	uuid           uuid.UUID
	id             int64
	deleted        bool
	pseudonym      bool
	qualified      bool // may get qualified certificates
	allowSigning   bool
	represent      bool // authorised to represent the organisation
	stage          stage
	user           string // the user id of the seeded users file; empty for others
	status         string
	given, surname string
	email, cpr     string
	rid            string
	ial            string
	admin          []string
	grants         []grant
	authenticators []authenticator
	before         *staleGrants // what stale reads answer; nil when nothing was written lately
}

type group struct {
	uuid        uuid.UUID
	name        string
	description string
	identifier  string
	scope       scopeWire
	roles       []uuid.UUID
}

func newWorld(cvr string, seed uint64) *world {
	w := &world{cvr: cvr, seed: seed}
	for i := range w.shards {
		w.shards[i].byUUID = map[uuid.UUID]*identity{}
	}
	w.subjects.owner = map[string]*identity{}
	w.groups.byUUID = map[uuid.UUID]*group{}
	w.catalogue.Store(&catalogue{byUUID: map[uuid.UUID]*role{}})
	w.setNumbers(nil, nil)
	return w
}

func (w *world) shard(id uuid.UUID) *shard { return &w.shards[id[15]%byte(len(w.shards))] }

// newUUID draws a random UUID (version 4). The n-th one of a world is always the same.
func (w *world) newUUID() uuid.UUID {
	return drawUUID(rand.NewPCG(w.seed, 1<<63|w.made.Add(1)))
}

func drawUUID(source rand.Source) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], source.Uint64())
	binary.BigEndian.PutUint64(id[8:], source.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// lock finds an identity and locks it. The caller unlocks it. It is nil when there is none, or none any more.
func (w *world) lock(id uuid.UUID) *identity {
	for {
		sh := w.shard(id)
		sh.mu.RLock()
		who := sh.byUUID[id]
		sh.mu.RUnlock()
		if who == nil {
			return nil
		}
		who.mu.Lock()
		if who.uuid == id && !who.deleted {
			return who
		}
		who.mu.Unlock() // it was deleted or got another UUID in between: look again
	}
}

// exists tells whether there is an identity with this UUID.
func (w *world) exists(id uuid.UUID) bool {
	who := w.lock(id)
	if who != nil {
		who.mu.Unlock()
	}
	return who != nil
}

// insert makes a new identity known. Nobody else has seen it yet, so it needs no lock.
func (w *world) insert(who *identity) {
	w.place(who)
	w.order.mu.Lock()
	w.order.all = append(w.order.all, who)
	w.order.mu.Unlock()
}

// remove deletes an identity that the caller has locked, and frees its local user names.
func (w *world) remove(who *identity) {
	who.deleted = true
	for _, a := range who.authenticators {
		w.releaseSubject(a.id, who)
	}
	sh := w.shard(who.uuid)
	sh.mu.Lock()
	delete(sh.byUUID, who.uuid)
	sh.mu.Unlock()
	w.order.mu.Lock()
	if i := slices.Index(w.order.all, who); i >= 0 {
		w.order.all = slices.Delete(slices.Clone(w.order.all), i, i+1)
	}
	w.order.mu.Unlock()
}

// rename gives an identity another UUID. The caller holds w.moving and the identity's lock.
func (w *world) rename(who *identity, to uuid.UUID) {
	sh := w.shard(who.uuid)
	sh.mu.Lock()
	if sh.byUUID[who.uuid] == who {
		delete(sh.byUUID, who.uuid)
	}
	sh.mu.Unlock()
	who.uuid = to
	w.place(who)
}

// place makes an identity findable by its UUID.
func (w *world) place(who *identity) {
	sh := w.shard(who.uuid)
	sh.mu.Lock()
	sh.byUUID[who.uuid] = who
	sh.mu.Unlock()
}

// all returns the identities there are, oldest first. Each must be locked before it is read, and may be deleted by then.
func (w *world) all() []*identity {
	w.order.mu.RLock()
	defer w.order.mu.RUnlock()
	return slices.Clip(w.order.all)
}

// claimSubject takes a local user name for an identity. It answers false when somebody else has it.
func (w *world) claimSubject(name string, who *identity) bool {
	key := strings.ToLower(name)
	w.subjects.mu.Lock()
	defer w.subjects.mu.Unlock()
	if owner, taken := w.subjects.owner[key]; taken && owner != who {
		return false
	}
	w.subjects.owner[key] = who
	return true
}

// takeSubject takes a local user name whoever has it.
func (w *world) takeSubject(name string, who *identity) {
	w.subjects.mu.Lock()
	defer w.subjects.mu.Unlock()
	w.subjects.owner[strings.ToLower(name)] = who
}

func (w *world) releaseSubject(name string, who *identity) {
	key := strings.ToLower(name)
	w.subjects.mu.Lock()
	defer w.subjects.mu.Unlock()
	if w.subjects.owner[key] == who {
		delete(w.subjects.owner, key)
	}
}

func (w *world) addRole(r *role) {
	w.changing.Lock()
	defer w.changing.Unlock()
	old := w.catalogue.Load()
	next := &catalogue{roles: append(slices.Clone(old.roles), r), byUUID: make(map[uuid.UUID]*role, len(old.roles)+1)}
	for _, r := range next.roles {
		next.byUUID[r.uuid] = r
	}
	w.catalogue.Store(next)
}

// role returns a role, in the catalogue or not, or nil.
func (w *world) role(id uuid.UUID) *role { return w.catalogue.Load().byUUID[id] }

func (w *world) setNumbers(units []unit, se []string) {
	n := &numbers{units: units, se: se, unitSet: make(map[string]bool, len(units)), seSet: make(map[string]bool, len(se))}
	for _, u := range units {
		n.unitSet[u.number] = true
	}
	for _, number := range se {
		n.seSet[number] = true
	}
	w.numbers.Store(n)
}

// has tells whether a scope is one of the organisation's own.
func (w *world) has(scopeType, value string) bool {
	n := w.numbers.Load()
	switch scopeType {
	case ScopeCVR:
		return value == w.cvr
	case ScopePU:
		return n.unitSet[value]
	case ScopeSE:
		return n.seSet[value]
	default:
		return false
	}
}

func (who *identity) holds(g grant) bool { return slices.Contains(who.grants, g) }

// add grants g; it answers false when the identity had it.
func (who *identity) add(g grant) bool {
	if who.holds(g) {
		return false
	}
	who.grants = append(who.grants, g)
	return true
}

// drop takes g away, if the identity has it.
func (who *identity) drop(g grant) {
	if i := slices.Index(who.grants, g); i >= 0 {
		who.grants = slices.Delete(who.grants, i, i+1)
	}
}

// local returns the index of the identity's authenticator of the local identity provider, or -1.
func (who *identity) local() int {
	return slices.IndexFunc(who.authenticators, func(a authenticator) bool { return a.kind == LocalIdentityProvider })
}
