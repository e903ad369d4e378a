package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// digest hashes a sequence of texts and numbers. Every text is preceded by its length, so that two different sequences
// never give the same bytes.
type digest struct {
	hash hash.Hash
	buf  []byte
}

const digestBuffer = 16 << 10

// newDigest starts a digest of its own kind: digests with different labels never agree.
func newDigest(label string) *digest {
	d := &digest{hash: sha256.New(), buf: make([]byte, 0, digestBuffer+1024)}
	d.text("rollebro plan " + label)
	return d
}

func (d *digest) text(s string) {
	d.number(len(s))
	d.buf = append(d.buf, s...)
	if len(d.buf) >= digestBuffer {
		d.flush()
	}
}

func (d *digest) number(n int) { d.buf = binary.AppendVarint(d.buf, int64(n)) }

func (d *digest) flag(b bool) {
	if b {
		d.number(1)
		return
	}
	d.number(0)
}

func (d *digest) grant(g Grant) {
	d.text(g.Role)
	d.text(string(g.Scope.Type))
	d.text(g.Scope.Value)
}

func (d *digest) flush() {
	d.hash.Write(d.buf) // never fails, says hash.Hash
	d.buf = d.buf[:0]
}

// sum ends the digest: 64 hexadecimal digits.
func (d *digest) sum() string {
	d.flush()
	return hex.EncodeToString(d.hash.Sum(nil))
}

// effect computes the Effect of a plan.
func (p *Plan) effect() string {
	d := newDigest("effect")
	d.text(p.CVR)
	for _, c := range p.Changes {
		if c.Verb != Add && c.Verb != Remove {
			continue
		}
		d.text(string(c.Verb))
		d.text(c.Identity)
		d.grant(c.Grant)
	}
	return d.sum()
}

// id computes the ID of a plan whose other fields are set.
func (p *Plan) id() string {
	d := newDigest("content")
	d.text(p.FormatVersion)
	d.text(p.Effect)
	d.text(p.CVR)
	d.text(p.Selection)
	for _, i := range []Inventory{p.Source, p.Target} {
		d.number(i.Identities)
		d.number(i.Grants)
		d.number(i.Failed)
		d.number(i.Gone)
		d.flag(i.Complete)
		d.text(i.Hash)
	}
	d.number(p.Counts.Add)
	d.number(p.Counts.Remove)
	d.number(p.Counts.Keep)
	d.number(p.Counts.Skip)
	d.number(len(p.Unread))
	for _, u := range p.Unread {
		d.text(u.Identity)
		d.text(u.User)
		d.text(u.Name)
		d.text(string(u.State))
		d.text(u.Error)
	}
	d.number(len(p.Changes))
	for i := range p.Changes {
		c := &p.Changes[i]
		d.text(string(c.Verb))
		d.text(c.Identity)
		d.text(c.User)
		d.text(c.Name)
		d.grant(c.Grant)
		d.text(c.RoleName)
		d.text(string(c.Reason))
		d.number(len(c.Because))
		for _, b := range c.Because {
			d.text(b)
		}
		d.text(string(c.Intended))
		d.text(c.Detail)
	}
	return d.sum()
}
