package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
)

// problem is an error as the service tells it. The real schema is not known; nobody parses it.
type problem struct {
	code, text string
}

func failure(status int, code, text string) answer {
	return answer{status: status, problem: &problem{code, text}}
}

func badRequest(format string, args ...any) answer {
	return failure(http.StatusBadRequest, "BadRequest", fmt.Sprintf(format, args...))
}

func notFound(what string) answer {
	return failure(http.StatusNotFound, "NotFound", "There is no such "+what+".")
}

// seeLog is the answer that tells nothing, to many things that went wrong inside the service.
func seeLog() answer {
	return failure(http.StatusInternalServerError, "InternalServerError", "See log for exception details")
}

// shape writes an error in the shape that error-shape says.
func (c *call) shape(a *answer) {
	kind := "json"
	if f := c.strike(ErrorShape); f != nil {
		if kind = f.Value; kind == "" {
			kind = []string{"text", "problem", "html"}[f.turn(3)]
		}
	}
	p := *a.problem
	switch kind {
	case "text":
		a.contentType, a.raw = "text/plain; charset=utf-8", []byte(p.code+": "+p.text)
	case "html":
		a.contentType = "text/html; charset=utf-8"
		a.raw = fmt.Appendf(nil, "<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1><p>%s</p></body></html>",
			http.StatusText(a.status), p.code, p.text)
	case "problem":
		a.contentType = "application/problem+json"
		a.value = map[string]any{"type": "about:blank", "title": p.code, "status": a.status, "detail": p.text}
	default:
		a.value = map[string]any{"errorCode": p.code, "message": p.text, "correlationId": fmt.Sprint(c.record.Number)}
	}
}

// decode reads a JSON body into a value, as strictly as the behaviours say.
func decode[T any](c *call) (T, *answer) {
	var value T
	refuse := func(a answer) (T, *answer) { return value, &a }
	if a := c.checkContentType(); a != nil {
		return refuse(*a)
	}
	if trimmed := bytes.TrimSpace(c.body); len(trimmed) == 0 || trimmed[0] != '{' {
		return refuse(badRequest("The body must be a JSON object."))
	}
	if !c.on(CaseInsensitiveJSON) {
		if name := otherCase(c.body, reflect.TypeFor[T]()); name != "" {
			return refuse(badRequest("The field %q is not known.", name))
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(c.body))
	if c.faults[StrictData] != nil {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(&value); err != nil {
		// Not the decoder's own words: they can repeat what was sent, a CPR number for example.
		return refuse(badRequest("The body is not what this call takes."))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return refuse(badRequest("There is something after the body."))
	}
	return value, nil
}

func (c *call) checkContentType() *answer {
	kind, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		a := failure(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The body must be application/json.")
		return &a
	}
	return nil
}

// noBody refuses a body on calls that have none; an empty object is let through, as clients are known to send one.
func (c *call) noBody() *answer {
	if text := string(bytes.TrimSpace(c.body)); text != "" && text != "{}" {
		a := badRequest("This call takes no body.")
		return &a
	}
	return nil
}

// otherCase returns the first field name in a body that is one of the type's but for upper and lower case.
func otherCase(body []byte, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return ""
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return "" // the decoder proper will say so
	}
	known := map[string]reflect.Type{}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[name] = field.Type
	}
	for name, value := range fields {
		if inner, exact := known[name]; exact {
			if found := otherCase(value, inner); found != "" {
				return found
			}
			continue
		}
		for other := range known {
			if strings.EqualFold(name, other) {
				return name
			}
		}
	}
	return ""
}

// done is the answer to a write that was carried out.
func (c *call) done() answer {
	if c.on(NoBody204) {
		return answer{status: http.StatusNoContent}
	}
	return answer{status: http.StatusOK, raw: []byte("{}")}
}

// list answers a bare array, or one wrapped in an object.
func (c *call) list(name string, items any) answer {
	if c.on(BareArray) {
		return ok(items)
	}
	return ok(map[string]any{name: items})
}
