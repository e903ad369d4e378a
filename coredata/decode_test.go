package coredata

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/rolecatalog"
)

func TestOdditiesOfClients(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	ok(t, s, (*Service).Full, "\ufeff"+` {"EntryList":[{"x":1}],"extra":{"deep":[[{"a":null}]]},"DOMAIN":"SKOVBY.dk","entryList":[null,{
		"UUID":"00000000-0000-4000-8000-000000000001","Cpr":1403791001,"name":"Bent \"Æ\" \u00d8","SAMACCOUNTNAME":"Ab","email":"","subDomain":"",
		"transferToNemLogin":"True","privateMitID":1,"nsisAllowed":false,"NsisAllowed":"true","qualifiedSignature":null,"robot":"",
		"department":42,"ean":true,"rid":"78129748","groups":{"a":["b"]},"attributes":{"x":"y"},"Attributes":{"azureId":"z","n":null,"e":"","five":5},
		"expireTimestamp":"","passwordAdTimestamp":"2026-05-01","nextPasswordChange":"2027-01-01","lockedDataset":true,"domain":"andet"}]}`)
	u := m.user("ab")
	got := &u.CoreData
	diff(t, "the user", []any{
		u.DomainID, u.ExtUUID, u.CPR, u.Name, u.Email, got.TransferToNemLogin, got.PrivateMitID, got.NSISAllowed,
		got.QualifiedSignature, got.Department, got.EAN, got.RID, got.PasswordChangedOn, got.ExpiresAt == nil, got.LockedDataset, got.Attributes,
	}, []any{
		uint64(1), "00000000-0000-4000-8000-000000000001", "1403791001", `Bent "Æ" Ø`, "", true, true, true,
		false, "42", "true", "78129748", "2026-05-01", true, false,
		map[string]string{"azureId": "z", "five": "5"},
	})
	// Of two spellings of a key the last one counts, also when it is null, and lists aren't mixed.
	ok(t, s, (*Service).JFRFull, `{"domain":"skovby.dk","entryList":[{"samAccountName":"ab","jfrs":[{"identifier":"x","cvr":"1"}],"Jfrs":[{"identifier":"y","cvr":2},null]}]}`)
	diff(t, "roles", m.roles("ab"), []string{"y@2"})
	r := refused(t, s, (*Service).JFRFull, `{"domain":"skovby.dk","entryList":[{"samAccountName":"ab","jfrs":[{"identifier":"x","cvr":"1"}],"Jfrs":[{"identifier":"y"}]}]}`)
	diff(t, "refusal", r.Text, "KOMBIT rolle uden cvr: y")
	ok(t, s, (*Service).JFRFull, `{"domain":"skovby.dk","entryList":[{"samAccountName":"ab","jfrs":[{"identifier":"x","cvr":"1"}],"Jfrs":null}]}`)
	diff(t, "roles", m.roles("ab"), []string{})
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100_000)
	for _, test := range []struct{ name, body, text string }{
		{"none", "", "Indholdet mangler"},
		{"blanks", " \n", "Indholdet mangler"},
		{"cut off", `{"domain":"skovby.dk","entryList":[{"cpr":"1403791001"`, "Ugyldig JSON: indholdet slutter for tidligt (element 1 i entryList, byte 35)"},
		{"cut off between", `{"domain":"skovby.dk","entryList":[{},`, "Ugyldig JSON: indholdet slutter for tidligt (element 2 i entryList, byte 38)"},
		{"cut off at the end", `{"domain":"skovby.dk","entryList":[{}]`, "Ugyldig JSON: indholdet slutter for tidligt (byte 38)"},
		{"not JSON", `{"domain":1403791001x}`, "Ugyldig JSON (byte 20)"},
		{"null", "null", "Ugyldig JSON: en værdi har en forkert type (byte 4)"},
		{"a list", "[]", "Ugyldig JSON: en værdi har en forkert type (byte 1)"},
		{"a domain that is a list", `{"domain":["1403791001"]}`, "Ugyldig JSON: en værdi har en forkert type (byte 24)"},
		{"a list that is an object", `{"entryList":{}}`, "Ugyldig JSON: en værdi har en forkert type (byte 14)"},
		{"an entry that is a number", `{"entryList":[{},1403791001]}`, "Ugyldig JSON: en værdi har en forkert type (element 2 i entryList, byte 27)"},
		{"a name that is an object", `{"entryList":[{"name":{}}]}`, "Ugyldig JSON: en værdi har en forkert type (element 1 i entryList, byte 25)"},
		{"a flag that is none", `{"entryList":[{"robot":"1403791001"}]}`, "Ugyldig JSON: en værdi har en forkert type (element 1 i entryList, byte 36)"},
		{"attributes that are a list", `{"entryList":[{"attributes":[]}]}`, "Ugyldig JSON: en værdi har en forkert type (element 1 i entryList, byte 31)"},
		{"roles that are an object", `{"entryList":[{"roles":{}}]}`, "Ugyldig JSON: en værdi har en forkert type (element 1 i entryList, byte 26)"},
		{"not UTF-8", `{"domain":"skovby` + "\xe6" + `"}`, "Indholdet er ikke gyldig UTF-8 (byte 17)"},
		{"half a character", `{"domain":"skovby` + "\xc3", "Indholdet er ikke gyldig UTF-8 (byte 17)"},
		{"deep", `{"x":` + deep, "Ugyldig JSON: for mange niveauer (byte 70)"},
		{"deep in an entry", `{"entryList":[{"x":` + deep, "Ugyldig JSON (element 1 i entryList, byte 14)"},
		{"two values", `{} {}`, "Ugyldig JSON: der står noget efter indholdet (byte 4)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _ := newService(t)
			diff(t, "refusal", *refused(t, s, (*Service).Full, test.body), Refusal{400, test.text})
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s, _ := newService(t)
	many := io.MultiReader(strings.NewReader(`{"domain":"skovby.dk","entryList":[null`), strings.NewReader(strings.Repeat(",null", maxElements)), strings.NewReader(`]}`))
	_, err := s.Full(t.Context(), many, testCaller)
	diff(t, "refusal", err, error(&Refusal{413, "entryList har flere end 1000000 elementer"}))
	_, err = s.Full(t.Context(), http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(strings.Repeat(" ", 100))), 64), testCaller)
	diff(t, "refusal", err, error(&Refusal{413, "Indholdet er større end de tilladte 64 bytes"}))
}

// A body that can't be read is not the client's bad input.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	s, m := newService(t)
	broken := errors.New("connection reset")
	_, err := s.Full(t.Context(), io.MultiReader(strings.NewReader(`{"domain":"sk`), iotest.ErrReader(broken)), testCaller)
	if _, bad := errors.AsType[*Refusal](err); bad || !errors.Is(err, broken) || m.writes > 0 {
		t.Error(err)
	}
}

// What is thrown away while reading must not pile up.
func TestMemoryOfWhatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	unit := []byte(`{"a":[1,2,{"b":"cccccccccccccccccccccccccccccccccccccccccccccc"}]},`)
	body := io.MultiReader(strings.NewReader(`{"junk":[`), io.LimitReader(&repeater{unit: unit}, int64(len(unit))*200_000), strings.NewReader(`0],"domain":"skovby.dk"}`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := decodePeople(body)
	runtime.ReadMemStats(&after)
	if err != nil || b.domain.value != "skovby.dk" {
		t.Fatal(err)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 256<<20 {
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
}

type repeater struct {
	unit []byte
	at   int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, r.unit[r.at:])
	r.at = (r.at + n) % len(r.unit)
	return n, nil
}

func TestUTF8AcrossReads(t *testing.T) {
	t.Parallel()
	const text = "aæ€𝄞 Økonomi"
	for _, reader := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		got, err := io.ReadAll(&utf8Reader{from: reader(strings.NewReader(text))})
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
		for _, bad := range []string{"a\xff", "\xc3", "æ\xe2\x82", "\xed\xa0\x80", "\xc0\xaf", "\xf0\x9d\x84a"} {
			if _, err := io.ReadAll(&utf8Reader{from: reader(strings.NewReader(bad))}); !isNotUTF8(err) {
				t.Errorf("%q passes: %v", bad, err)
			}
		}
	}
}

func isNotUTF8(err error) bool {
	_, ok := errors.AsType[*notUTF8Error](err)
	return ok
}

func addExamples(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 9 {
		f.Fatal("the examples are missing", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"domain":null,"entryList":[{"jfrs":[null]},{"attributes":{"a":1e9}}]}`))
}

// FuzzDecodeLoad: whatever comes is decoded or refused, in the same way however it is cut into pieces.
func FuzzDecodeLoad(f *testing.F) {
	addExamples(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := decodePeople(bytes.NewReader(in))
		if _, refused := errors.AsType[*Refusal](err); err != nil && !refused {
			t.Fatalf("an error that is no refusal: %v", err)
		}
		pieces, errPieces := decodePeople(iotest.OneByteReader(bytes.NewReader(in)))
		if (err == nil) != (errPieces == nil) {
			t.Fatalf("in pieces: %v; whole: %v", errPieces, err)
		}
		if err == nil && !cmp.Equal(whole, pieces, cmp.AllowUnexported(peopleBody{}, text{})) {
			t.Fatal("decoded otherwise in pieces")
		}
	})
}

// FuzzFull: every call answers every body with an outcome or a refusal, and a second time changes nothing.
func FuzzFull(f *testing.F) {
	addExamples(f)
	e1, err := os.ReadFile("testdata/e1_ad_full.json")
	if err != nil {
		f.Fatal(err)
	}
	calls := []method{
		(*Service).Full, (*Service).Delta, (*Service).GroupsFull, (*Service).GroupsDelta, (*Service).JFRFull, (*Service).JFRDelta, (*Service).NSISAllowed,
		(*Service).TransferToNemLogin, (*Service).KombitAttributesFull, (*Service).Lock, (*Service).Cleanup,
		func(s *Service, ctx context.Context, r io.Reader, c Caller) (Outcome, error) {
			return s.KombitAttributesSingle(ctx, "skovby.dk", r, c)
		},
		func(s *Service, ctx context.Context, r io.Reader, c Caller) (Outcome, error) {
			return s.GroupMember(ctx, "skovby.dk", r, false, c)
		},
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, m := newService(t)
		s.Options = Options{RoleAPI: true, TrustedEmployee: true, ExternalUUIDs: true, SkipBadEntries: len(in)%2 == 0}
		m.repeat = true
		ok(t, s, (*Service).Full, string(e1))
		for i, call := range calls {
			writes := m.writes
			_, err := call(s, t.Context(), bytes.NewReader(in), testCaller)
			if err == nil {
				writes = m.writes
				if _, err := call(s, t.Context(), bytes.NewReader(in), testCaller); err != nil && i < len(calls)-1 {
					t.Fatalf("call %d is refused the second time: %v", i, err)
				}
			} else if _, refused := errors.AsType[*Refusal](err); !refused {
				t.Fatalf("call %d: an error that is no refusal: %v", i, err)
			}
			if m.writes != writes {
				t.Fatalf("call %d has written though it was refused, or written again", i)
			}
		}
		if slices.ContainsFunc(m.audit, func(e rolecatalog.AuditEvent) bool { return strings.Contains(e.Detail, "1403791001") }) {
			t.Fatal("a CPR number is in the audit trail")
		}
	})
}
