package coredata

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// loadFunc is a call that takes a body and changes something.
type loadFunc func(ctx context.Context, body io.Reader, c Caller) (Outcome, error)

// minLoading is what the smallest body counts against MaxLoading: a load costs more than its bytes.
const minLoading = 64 << 10

// maxCallText bounds what a call can write into a field of the call log, in bytes.
const maxCallText = 250

// ofDomain makes a loadFunc of one that takes the domain from the query.
func ofDomain(fn func(ctx context.Context, domain string, body io.Reader, c Caller) (Outcome, error)) func(*http.Request) (loadFunc, error) {
	return func(r *http.Request) (loadFunc, error) {
		domain, err := queried(r, "domain")
		return func(ctx context.Context, body io.Reader, c Caller) (Outcome, error) { return fn(ctx, domain, body, c) }, err
	}
}

func (h *handler) member(add bool) func(ctx context.Context, domain string, body io.Reader, c Caller) (Outcome, error) {
	return func(ctx context.Context, domain string, body io.Reader, c Caller) (Outcome, error) {
		return h.Service.GroupMember(ctx, domain, body, add, c)
	}
}

// load serves a writing call. name is what the call log calls it.
func (h *handler) load(name string, prepare func(*http.Request) (loadFunc, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		call := &Call{At: h.now().UTC(), Endpoint: name, Client: callerOf(r).Name, Status: http.StatusInternalServerError}
		var outcome Outcome
		err := errPanicked // until it is known better
		defer func() { h.record(w, r, call, &outcome, err) }()
		if outcome, err = h.run(w, r, prepare); err != nil {
			call.Status = h.fail(w, r, err)
			return
		}
		call.Status = http.StatusOK
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	}
}

var errPanicked = errors.New("the call ended without an outcome")

// run checks what can be checked without the body, waits for its turn, and loads.
func (h *handler) run(w http.ResponseWriter, r *http.Request, prepare func(*http.Request) (loadFunc, error)) (Outcome, error) {
	load, err := prepare(r)
	if err != nil {
		return Outcome{}, err
	}
	contentType := r.Header.Get("Content-Type")
	if !isJSON(contentType) && (contentType != "" || r.ContentLength != 0) { // a body that is missing is told as that
		return Outcome{}, early(http.StatusUnsupportedMediaType)
	}
	if r.ContentLength > h.MaxBody {
		w.Header().Set("Connection", "close") // rather than read it all to the end
		return Outcome{}, refuseBody(&http.MaxBytesError{Limit: h.MaxBody}, 0)
	}
	weight := h.MaxBody // when the client doesn't tell
	if r.ContentLength > 0 {
		weight = min(max(r.ContentLength, minLoading), h.MaxBody)
	}
	queue, cancel := context.WithTimeout(r.Context(), h.QueueTime)
	defer cancel()
	if err := h.loading.Acquire(queue, weight); err != nil {
		return Outcome{}, err
	}
	defer h.loading.Release(weight)

	control := http.NewResponseController(w)
	// A load may take longer than answers are given in general. Not every writer has deadlines; those in tests don't need them.
	_ = control.SetWriteDeadline(time.Time{})
	defer func() { _ = control.SetWriteDeadline(time.Now().Add(h.IdleTime)) }()
	body := h.newBody(w, r, control)
	// A client that has sent everything and gives up waiting (one known client does after 100 seconds) never sends it again: its
	// load is carried through.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.LoadTime)
	defer cancel()
	outcome, err := load(ctx, body, callerOf(r))
	if err == nil {
		return outcome, nil
	}
	if body.err != nil {
		w.Header().Set("Connection", "close")
		return outcome, body.failure(err)
	}
	// Most clients read the answer only when they have sent everything.
	if _, err := io.Copy(io.Discard, body); err != nil {
		w.Header().Set("Connection", "close")
	}
	return outcome, err
}

// isJSON reports whether a Content-Type is that of JSON in UTF-8.
func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return false
	}
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// body reads what a client sends: at most so many bytes, at most so long, and no pause too long.
type body struct {
	from    io.Reader
	control *http.ResponseController
	idle    time.Duration
	ends    time.Time
	ended   bool
	err     error // that ended the reading before the end
}

func (h *handler) newBody(w http.ResponseWriter, r *http.Request, control *http.ResponseController) *body {
	return &body{
		from: http.MaxBytesReader(w, r.Body, h.MaxBody), control: control, idle: h.IdleTime, ends: time.Now().Add(h.BodyTime),
	}
}

// Read fills p, unless the body ends before. A JSON decoder looks at all the white space that it holds again whenever it is given
// more: in pieces as they come off the line, a body of blanks would cost the square of its length.
func (b *body) Read(p []byte) (n int, err error) {
	for n < len(p) && b.err == nil && !b.ended {
		deadline := time.Now().Add(b.idle)
		if b.ends.Before(deadline) {
			deadline = b.ends
		}
		_ = b.control.SetReadDeadline(deadline)
		got, err := b.from.Read(p[n:])
		n += got
		if errors.Is(err, io.EOF) {
			b.ended = true
			_ = b.control.SetReadDeadline(time.Time{}) // the server waits for the client to hang up, as long as it takes
		} else {
			b.err = err
		}
	}
	switch {
	case n > 0 || len(p) == 0:
		return n, nil
	case b.err != nil:
		return 0, b.err
	}
	return 0, io.EOF
}

// failure returns what to answer when the body could not be read to its end, which err came of.
func (b *body) failure(err error) error {
	if errors.Is(b.err, os.ErrDeadlineExceeded) {
		return early(http.StatusRequestTimeout)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal // the service tells by itself that it is too large or ends too soon
	}
	return early(http.StatusBadRequest) // the connection broke: nobody reads this
}

// record writes a POST, which is how loads come, into the call log.
func (h *handler) record(w http.ResponseWriter, r *http.Request, call *Call, outcome *Outcome, err error) {
	if r.Method != http.MethodPost {
		return
	}
	call.DurationMS = h.now().Sub(call.At).Milliseconds()
	call.Domain = clip(outcome.Domain)
	call.Counts = outcome.Counts
	call.Success = err == nil
	if err != nil {
		call.Error = clip(maskCPR(err.Error()))
	}
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	if err := h.store.LogCall(ctx, call); err != nil {
		h.entry(w, r).WithError(err).Error("the call could not be written to the call log")
	}
}

// clip makes a text fit for the call log.
func clip(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= maxCallText {
		return text
	}
	end := maxCallText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
