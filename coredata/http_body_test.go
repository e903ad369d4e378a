package coredata_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/rolecatalog"
)

// entries is a full load of n people as their client writes it, some 450 bytes each.
func entries(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(w, 64<<10)
		fmt.Fprint(out, `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[`)
		for i := range n {
			if i > 0 {
				fmt.Fprint(out, ",")
			}
			fmt.Fprintf(out, `{"uuid":"5b0f2c1e-7a34-4c55-9d0e-%012d","cpr":"0000000000","name":"Bodil Ægidius Thorup %d","email":"both%d@skovby.dk",`+
				`"samAccountName":"BOTH%d","subDomain":null,"externalNemloginUserUuid":null,"nsisAllowed":true,"trustedEmployee":false,`+
				`"attributes":{"RADIUS":"vpn-std"},"expireTimestamp":null,"nextPasswordChange":"2026-11-14","transferToNemlogin":true,`+
				`"robot":false,"privateMitID":true,"qualifiedSignature":false,"department":"Økonomi","ean":null}`, i, i, i, i)
		}
		fmt.Fprint(out, `]}`)
		w.CloseWithError(out.Flush())
	}()
	return r
}

func TestLargeBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// White space counts as bytes but makes no people: this is about the size.
	const size = 65 << 20
	body := strings.TrimSpace(example(t, "e1_ad_full"))
	a, err := w.send(t, "POST", "/api/coredata/full", io.MultiReader(
		strings.NewReader(body[:len(body)-1]), &blanks{size - len(body)}, strings.NewReader("}"),
	), func(r *http.Request) { r.ContentLength = size })
	if err != nil || a.StatusCode != http.StatusOK || a.body != "" {
		t.Fatal(a.Response, a.body, err)
	}
	if n := len(w.store.state()); n != 4 {
		t.Errorf("%d people", n)
	}
}

// blanks is so many blanks.
type blanks struct{ left int }

// Read gives blanks until none is left.
func (b *blanks) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(b.left, len(p))
	for i := range p[:n] {
		p[i] = ' '
	}
	b.left -= n
	return n, nil
}

func TestManyPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 20_000
	a, err := w.send(t, "POST", "/api/coredata/full", entries(n)) // in chunks, without a length
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatal(a.Response, a.body, err)
	}
	if got := len(w.store.state()); got != n {
		t.Errorf("%d people", got)
	}
	if a := w.do(t, "GET", "/api/coredata?domain=skovby.dk", ""); strings.Count(a.body, `"cpr":`) != n || a.ContentLength != -1 {
		t.Errorf("%d bytes", len(a.body))
	}
}

func TestTooMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *coredata.HandlerOptions) { o.MaxBody = 10_000 })
	text := "Indholdet er større end de tilladte 10000 bytes"
	for name, body := range map[string]io.Reader{
		"with length": strings.NewReader(`{"domain":"skovby.dk","entryList":[` + strings.Repeat(" ", 10_000) + `]}`),
		"in chunks":   io.MultiReader(strings.NewReader(`{"domain":"skovby.dk"`), &blanks{10_000}),
	} {
		a, err := w.send(t, "POST", "/api/coredata/full", body)
		if err != nil || a.StatusCode != http.StatusRequestEntityTooLarge || a.body != text {
			t.Errorf("%s: %v %q %v", name, a.Response, a.body, err)
		}
	}
	w = newWorld(t)
	body := `{"domain":"skovby.dk","entryList":[` + strings.Repeat("{},", 1_000_000) + `{}]}`
	if a := w.do(t, "POST", "/api/coredata/full", body); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a million and one: %d %q", a.StatusCode, a.body)
	}
}

// A body that is no good is told so when it was all sent, and changes nothing.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.populate(t)
	before := w.store.state()
	full := example(t, "e1_ad_full")
	for name, body := range map[string]string{
		"truncated":       full[:len(full)/2],
		"truncated early": `{`,
		"not JSON":        `<person/>`,
		"a list":          `[]`,
		"a text":          `"domain"`,
		"null":            `null`,
		"two":             full + full,
		"not UTF-8":       strings.Replace(full, "Æ", "\xc6", 1),
		"wrong type":      `{"domain":"skovby.dk","entryList":{}}`,
		"nested":          `{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		"garbage first":   `{x` + strings.Repeat(" ", 3<<20) + `}`, // the answer is read when all is sent
	} {
		a := w.do(t, "POST", "/api/coredata/full", body)
		if a.StatusCode != http.StatusBadRequest || a.body == "" || strings.ContainsAny(a.body, "<\n\x00") {
			t.Errorf("%s: %d %q", name, a.StatusCode, a.body)
		}
	}
	if diff := cmp.Diff(before, w.store.state()); diff != "" {
		t.Error(diff)
	}
}

func TestKeysTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, list, _ := strings.Cut(example(t, "e1_ad_full"), `"entryList":`)
	w.load(t, "POST", "/api/coredata/full", `{"domain":"other.dk","DOMAIN":"skovby.dk","entryList":[{}],"entrylist":`+list)
	if n := len(w.store.state()); n != 4 {
		t.Errorf("%d people", n)
	}
}

// connect opens a connection of the oldest TLS that clients speak, to send what http.Client wouldn't.
func (w *world) connect(t *testing.T) *tls.Conn {
	t.Helper()
	transport, ok := w.client.Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	config := transport.TLSClientConfig.Clone()
	config.ServerName, config.NextProtos = "example.com", nil
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	tlsConn, ok := conn.(*tls.Conn)
	if !ok {
		t.Fatal("no TLS")
	}
	t.Cleanup(func() { tlsConn.NetConn().Close() }) //nolint:errcheck // the server may have been first
	return tlsConn
}

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*coredata.HandlerOptions){
		"pause":    func(o *coredata.HandlerOptions) { o.IdleTime = 30 * time.Millisecond },
		"too long": func(o *coredata.HandlerOptions) { o.BodyTime = 30 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, limit)
			conn := w.connect(t)
			fmt.Fprintf(conn, "POST /api/coredata/full HTTP/1.1\r\nHost: x\r\nApiKey: good\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"domain\":")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
				t.Errorf("%d, and the connection stays open: %v", resp.StatusCode, !resp.Close)
			}
			calls, _ := w.store.Calls(t.Context(), "", 0)
			if len(calls) != 1 || calls[0].Success || calls[0].Status != http.StatusRequestTimeout {
				t.Errorf("%+v", calls)
			}
			if log := w.log.String(); strings.Contains(log, "level=error") || !strings.Contains(log, "broke off") {
				t.Errorf("the client's fault is no error of ours:\n%s", log)
			}
		})
	}
}

// A slow client whose bytes keep coming is waited for.
func TestBytesThatKeepComing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, in := io.Pipe()
	go func() {
		for _, c := range []byte(`{"domain":"skovby.dk","entryList":[]}`) {
			in.Write([]byte{c}) //nolint:errcheck // the test ends without
		}
		in.Close() //nolint:errcheck // cannot fail
	}()
	a, err := w.send(t, "POST", "/api/coredata/full", r)
	if err != nil || a.body != "Tom entryList for domæne skovby.dk" {
		t.Error(a.body, err)
	}
}

// gate holds loads up in the store until the test lets them go on.
type gate struct{ in, out chan struct{} }

func newGate(w *world) *gate {
	g := &gate{make(chan struct{}), make(chan struct{})}
	w.store.loading = func() {
		g.in <- struct{}{}
		<-g.out
	}
	return g
}

func TestLoadsWaitForRoom(t *testing.T) {
	t.Parallel()
	var queue time.Duration
	run := func(t *testing.T) (*world, *gate, chan answer) {
		t.Helper()
		w := newWorld(t, func(o *coredata.HandlerOptions) { o.MaxBody, o.MaxLoading, o.QueueTime = 200<<10, 200<<10, queue })
		g := newGate(w)
		answers := make(chan answer, 1)
		go func() { // in chunks: takes all the room there is
			a, err := w.send(t, "POST", "/api/coredata/full", io.MultiReader(strings.NewReader(example(t, "e1_ad_full"))))
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
		<-g.in
		return w, g, answers
	}
	t.Run("in vain", func(t *testing.T) {
		queue = 20 * time.Millisecond
		w, g, first := run(t)
		a := w.do(t, "POST", "/api/coredata/delta", example(t, "e3a_ad_delta"))
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		if a := w.do(t, "GET", "/api/coredata/status?domain=skovby.dk", ""); a.StatusCode != http.StatusOK {
			t.Errorf("reading waits too: %d", a.StatusCode)
		}
		close(g.out)
		if a := <-first; a.StatusCode != http.StatusOK {
			t.Error(a.StatusCode)
		}
	})
	t.Run("their turn", func(t *testing.T) {
		queue = time.Minute
		w, g, first := run(t)
		second := make(chan answer, 1)
		go func() {
			a, err := w.send(t, "POST", "/api/coredata/delta", strings.NewReader(example(t, "e3a_ad_delta")))
			if err != nil {
				t.Error(err)
			}
			second <- a
		}()
		g.out <- struct{}{}
		<-g.in // the second one is in
		close(g.out)
		for _, c := range []chan answer{first, second} {
			if a := <-c; a.StatusCode != http.StatusOK {
				t.Error(a.StatusCode, a.body)
			}
		}
	})
}

func TestSmallLoadsRunSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate(w)
	done := make(chan answer, 2)
	for _, path := range []string{"/delta", "/full"} {
		go func() {
			a, err := w.send(t, "POST", "/api/coredata"+path, strings.NewReader(example(t, "e1_ad_full")))
			if err != nil {
				t.Error(err)
			}
			done <- a
		}()
	}
	<-g.in
	<-g.in // both are in the store
	close(g.out)
	for range 2 {
		if a := <-done; a.StatusCode != http.StatusOK {
			t.Error(a.StatusCode)
		}
	}
}

// A client that gives up waiting never sends the load again: it is carried through.
func TestClientGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate(w)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := w.send(t, "POST", "/api/coredata/full", strings.NewReader(example(t, "e1_ad_full")), func(r *http.Request) { *r = *r.WithContext(ctx) })
		gone <- err
	}()
	<-g.in
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(g.out)
	for len(w.store.state()) == 0 || callsOf(t, w) == 0 { // until the handler is through; the test's own timeout is the bound
		w.do(t, "GET", "/api/coredata/status?domain=skovby.dk", "")
	}
	if calls, _ := w.store.Calls(t.Context(), "", 0); !calls[0].Success {
		t.Errorf("%+v", calls)
	}
}

func callsOf(t *testing.T, w *world) int {
	t.Helper()
	calls, err := w.store.Calls(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(calls)
}

func TestLoadThatTakesTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *coredata.HandlerOptions) { o.LoadTime = time.Nanosecond })
	a := w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"))
	if a.StatusCode != http.StatusServiceUnavailable || len(w.store.state()) != 0 {
		t.Error(a.StatusCode, a.body)
	}
}

func TestAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	batch := make([]rolecatalog.User, 10) // some 5 kB
	for name, c := range map[string]struct {
		batches int
		status  int // 0: no answer that is whole
	}{"at once": {0, 500}, "before the first bytes": {1, 500}, "later": {100, 0}} {
		w := newWorld(t)
		w.store.people = func(each func([]rolecatalog.User) error) error {
			for i := range c.batches {
				batch[0].ID = uint64(i)
				if err := each(batch); err != nil {
					return err
				}
			}
			return errBoom
		}
		for _, path := range []string{"", "/status"} {
			a, err := w.send(t, "GET", "/api/coredata"+path+"?domain=skovby.dk", nil)
			if c.status != 0 && (err != nil || a.StatusCode != c.status) || c.status == 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %q: %v %v", name, path, a.Response, err)
			}
		}
		if !strings.Contains(w.log.String(), "boom") {
			t.Errorf("%s: the log doesn't say why", name)
		}
	}
}

// Who takes nothing of an answer doesn't keep the database waiting, and what is not taken isn't gathered in memory.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *coredata.HandlerOptions) { o.IdleTime = 50 * time.Millisecond })
	batch := make([]rolecatalog.User, 1000)
	const batches = 1000 // a million people, some 500 MB
	ended := make(chan int, 1)
	w.store.people = func(each func([]rolecatalog.User) error) error {
		for i := range batches {
			if err := each(batch); err != nil {
				ended <- i
				return err
			}
		}
		ended <- batches
		return nil
	}
	conn := w.connect(t)
	fmt.Fprint(conn, "GET /api/coredata?domain=skovby.dk HTTP/1.1\r\nHost: x\r\nApiKey: good\r\n\r\n")
	if n := <-ended; n > batches/10 {
		t.Errorf("%d batches were written to nobody", n)
	}
}

func TestCallLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.load(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"))
	w.do(t, "POST", "/api/coredata/delta", `{"domain":"nær.dk","entryList":[{}]}`)
	w.do(t, "POST", "/api/coredata/full", `{"domain":"`+strings.Repeat("æ", 1000)+`"}`)
	w.do(t, "POST", "/api/coredata/full", `{"domain":"skovby.dk","entryList":[{"uuid":"`+cprBoth+`"}]}`)
	w.do(t, "POST", "/api/coredata/full", "{}", withHeader("Content-Type", "text/plain"))
	w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"), withKey(otherKey))
	w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"), withKey("wrong"))
	w.load(t, "POST", "/api/coredata/kombitAttributes/single?domain=skovby.dk", `{"samAccountName":"both"}`)
	w.load(t, "DELETE", "/api/coredata", example(t, "e3b_ad_delete"))
	w.do(t, "GET", "/api/coredata/status?domain=skovby.dk", "")
	calls, err := w.store.Calls(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(calls); n != 7 {
		t.Fatalf("%d calls: %+v", n, calls)
	}
	if long := calls[2]; len(long.Domain) > 260 || len(long.Error) > 260 {
		t.Errorf("%+v", long)
	}
	calls[2].Domain, calls[2].Error = "", ""
	full := "POST /api/coredata/full"
	want := []coredata.Call{
		{At: noon, Endpoint: full, Domain: "skovby.dk", Client: "ADSync", Status: 200, Success: true},
		{At: noon, Endpoint: "POST /api/coredata/delta", Domain: "nær.dk", Client: "ADSync", Status: 400, Error: "Ukendt domæne: nær.dk"},
		{At: noon, Endpoint: full, Client: "ADSync", Status: 400},
		{At: noon, Endpoint: full, Domain: "skovby.dk", Client: "ADSync", Status: 400, Error: "Bruger med uuid 'xxxxxxxxxx' mangler et brugernavn"},
		{At: noon, Endpoint: full, Client: "ADSync", Status: 415, Error: "415 Unsupported Media Type"},
		{At: noon, Endpoint: full, Domain: "skovby.dk", Client: "Other", Status: 403, Error: "API-nøglen gælder ikke for domænet skovby.dk"},
		{At: noon, Endpoint: "POST /api/coredata/kombitAttributes/single", Domain: "skovby.dk", Client: "ADSync", Status: 200, Success: true},
	}
	if calls[0].Counts[coredata.CountCreated] != 4 {
		t.Errorf("counts %v", calls[0].Counts)
	}
	for i := range calls {
		calls[i].Counts = nil
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	w.store.failWith(errBoom)
	w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"))
	if !strings.Contains(w.log.String(), "could not be written to the call log") {
		t.Error("nobody learns that the call log is not kept")
	}
}

func TestCallThatPanicsIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.loading = func() { panic("boom") }
	a := w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"))
	calls, _ := w.store.Calls(t.Context(), "", 0)
	if a.StatusCode != http.StatusInternalServerError || len(calls) != 1 || calls[0].Success || calls[0].Status != 500 {
		t.Errorf("%d %+v", a.StatusCode, calls)
	}
	w.store.loading = nil
	w.load(t, "POST", "/api/coredata/full", example(t, "e1_ad_full")) // the room it had is given back
}
