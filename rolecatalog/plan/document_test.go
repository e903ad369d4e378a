package plan

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func drawBytes(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes")) }

func TestDocumentRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for i := range w.desired.Subjects { // any bytes, not only UTF-8
			s := &w.desired.Subjects[i]
			s.Name = drawBytes(t)
			for j := range s.Grants {
				s.Grants[j].Because = append(s.Grants[j].Because, drawBytes(t))
			}
		}
		w.options.Catalogue.Roles["read"] = Role{Name: drawBytes(t)}
		w.observed["anna"] = Observation{State: Read, Grants: []ObservedGrant{{
			Grant: Grant{Role: "x" + drawBytes(t), Scope: Scope{Type: ScopeType(drawBytes(t)), Value: drawBytes(t)}}, RoleName: drawBytes(t),
		}}}
		p := w.draw(t)
		p.CreatedAt = time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "created"), 0).UTC()
		var stored bytes.Buffer
		if err := p.Encode(&stored); err != nil {
			t.Fatal(err)
		}
		text, err := p.JSON()
		if err != nil {
			t.Fatal(err)
		}
		for form, in := range map[string]io.Reader{"stored": &stored, "JSON": bytes.NewReader(text)} {
			got, err := Decode(in)
			if err != nil {
				t.Fatalf("%s: %v", form, err)
			}
			if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-before +after):\n%s", form, diff)
			}
			if err := got.Verify(); err != nil {
				t.Errorf("%s: %v", form, err)
			}
		}
	})
}

// TestDocumentIsWhatTheEncoderWrites: writing the changes one by one gives the same bytes as writing them at once.
func TestDocumentIsWhatTheEncoderWrites(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*Plan{
		"sample": samplePlan(t), "nothing": {}, "empty": {Changes: []Change{}},
		"misleading": {Selection: `"changes": []`, CVR: `"changes":[]`, Changes: []Change{{User: `"changes": []`}}},
	} {
		for _, indent := range []string{"", "  "} {
			whole := *p
			if whole.Changes == nil {
				whole.Changes = []Change{} // a list, always
			}
			var want, got bytes.Buffer
			e := json.NewEncoder(&want)
			e.SetEscapeHTML(false)
			e.SetIndent("", indent)
			if err := e.Encode(whole); err != nil {
				t.Fatal(err)
			}
			if err := p.writeJSON(&got, indent); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("%s with indent %q (-want +got):\n%s", name, indent, diff)
			}
		}
	}
}

func TestVerifyFindsAlterations(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Plan){
		"a change's user":     func(p *Plan) { p.Changes[0].User = "mallory" },
		"a change's identity": func(p *Plan) { p.Changes[0].Identity += "x" },
		"a scope value":       func(p *Plan) { p.Changes[0].Grant.Scope.Value = "1087654321" },
		"a reason":            func(p *Plan) { p.Changes[0].Reason = Ended },
		"where it comes from": func(p *Plan) { p.Changes[0].Because = nil },
		"a change less":       func(p *Plan) { p.Changes = p.Changes[1:] },
		"a change less, counted": func(p *Plan) {
			p.Changes = p.Changes[:len(p.Changes)-1]
			p.Counts.Skip--
		},
		"a verb":             func(p *Plan) { p.Changes[0].Verb = Keep },
		"the organisation":   func(p *Plan) { p.CVR = "87654321" },
		"the selection":      func(p *Plan) { p.Selection = "user x" },
		"the counts":         func(p *Plan) { p.Counts.Remove++ },
		"the effect":         func(p *Plan) { p.Effect = p.ID },
		"the id":             func(p *Plan) { p.ID = p.Effect },
		"what was read":      func(p *Plan) { p.Target.Complete = true },
		"who was not read":   func(p *Plan) { p.Unread = nil },
		"a detail":           func(p *Plan) { p.Changes[len(p.Changes)-1].Detail = "x" },
		"what was intended":  func(p *Plan) { p.Changes[len(p.Changes)-1].Intended = Add },
		"a name moved over":  func(p *Plan) { p.Changes[0].User, p.Changes[0].Name = "annaA", "nna Ågård" },
		"the name of a role": func(p *Plan) { p.Changes[0].RoleName = "Læseadgang" },
	}
	for name, alter := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := samplePlan(t)
			if err := p.Verify(); err != nil {
				t.Fatal(err)
			}
			alter(p)
			if err := p.Verify(); !errors.Is(err, ErrAltered) {
				t.Errorf("got %v, want ErrAltered", err)
			}
		})
	}
	t.Run("not what the clock tells", func(t *testing.T) {
		t.Parallel()
		p := samplePlan(t)
		p.CreatedAt, p.Guards, p.Blocked = time.Time{}, nil, false
		if err := p.Verify(); err != nil {
			t.Error(err)
		}
	})
	t.Run("another version", func(t *testing.T) {
		t.Parallel()
		p := samplePlan(t)
		p.FormatVersion = "1.99"
		if err := p.Verify(); err == nil || errors.Is(err, ErrAltered) {
			t.Errorf("got %v, want an error that blames the version and nobody", err)
		}
	})
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	squeeze := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, s); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	whole := squeeze(`{"formatVersion":"1.0"}`)
	const keep, add = `{"verb":"keep","identity":"a"}`, `{"verb":"add","identity":"a"}`
	tests := map[string]struct{ in, want string }{
		"nothing":            {"", "EOF"},
		"no object":          {"[]", "array"},
		"half of it":         {`{"formatVersion":"1.0","changes":[`, "EOF"},
		"something after it": {`{"formatVersion":"1.0"} {}`, "follows"},
		"no version":         {`{}`, "not a format version"},
		"no minor version":   {`{"formatVersion":"1"}`, "not a format version"},
		"a newer version":    {`{"formatVersion":"2.0"}`, "this program reads 1.x"},
		"an older version":   {`{"formatVersion":"0.9"}`, "this program reads 1.x"},
		"an unknown verb":    {`{"formatVersion":"1.1","changes":[{"verb":"destroy"}]}`, "destroy"},
		"a change twice":     {`{"formatVersion":"1.0","changes":[` + add + `,` + add + `]}`, "out of order"},
		"out of order":       {`{"formatVersion":"1.0","changes":[` + keep + `,` + add + `]}`, "out of order"},
		"cut gzip header":    {whole[:5], "EOF"},
		"cut gzip body":      {whole[:len(whole)-12], "EOF"},
		"cut gzip checksum":  {whole[:len(whole)-4], "EOF"},
		"wrong checksum":     {whole[:len(whole)-8] + "\x00\x00\x00\x00" + whole[len(whole)-4:], "checksum"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Decode(strings.NewReader(tt.in))
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v and error %v, want ErrFormat with %q", p, err, tt.want)
			}
		})
	}
	t.Run("a newer minor version is read", func(t *testing.T) {
		t.Parallel()
		p, err := Decode(strings.NewReader(`{"formatVersion":"1.7","cvr":"12345678","novelty":[1]}`))
		if err != nil || p.CVR != ourCVR || p.Changes == nil {
			t.Errorf("got %+v and error %v", p, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	w := &world{observed: Observed{}, options: testOptions()}
	w.user("anna").Grants = []DesiredGrant{{Grant: grant("read Cvr 12345678"), Because: []string{"direct: A"}}}
	w.state("bo", Failed, "503")
	w.observed["anna"] = Observation{State: Read, Grants: []ObservedGrant{{Grant: grant("report PU 1012345678")}}}
	p, err := Compute(w.desired, w.observed, w.options)
	if err != nil {
		f.Fatal(err)
	}
	text, err := p.JSON()
	if err != nil {
		f.Fatal(err)
	}
	var stored bytes.Buffer
	if err := p.Encode(&stored); err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(stored.Bytes())
	f.Add([]byte(`{"formatVersion":"1.0","changes":[{"verb":"skip"}],"guards":[{}],"unread":[{}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := Decode(bytes.NewReader(in))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("an error that isn't ErrFormat: %v", err)
			}
			return
		}
		genuine := p.Verify() == nil
		var again bytes.Buffer
		if err := p.Encode(&again); err != nil {
			t.Fatal(err)
		}
		q, err := Decode(&again)
		if err != nil {
			t.Fatalf("what was decoded can't be decoded again: %v", err)
		}
		if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("it is another plan when it is decoded again:\n%s", diff)
		}
		if (q.Verify() == nil) != genuine {
			t.Fatal("one of two equal plans is genuine")
		}
		for _, format := range Formats() {
			if err := Write(io.Discard, p, format, RenderOptions{Verbose: true}); err != nil {
				t.Fatalf("writing it as %s: %v", format, err)
			}
		}
	})
}
