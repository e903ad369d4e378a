package simulator

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// InspectHandler serves the inspection API: what the world is like, what was called, what is switched on, and changes as
// somebody makes them in MitID Erhverv's own pages. It is for tests and people on the same machine.
func (s *Simulator) InspectHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simulator/state", s.inspectState)
	mux.HandleFunc("GET /simulator/requests", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Requests())
	})
	mux.HandleFunc("DELETE /simulator/requests", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetRequests()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /simulator/faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Faults())
	})
	mux.HandleFunc("POST /simulator/faults", s.inspectSetFaults)
	mux.HandleFunc("POST /simulator/identities/{identity}/roles", s.inspectRoles(s.Grant))
	mux.HandleFunc("DELETE /simulator/identities/{identity}/roles", s.inspectRoles(s.Revoke))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page on the internet can have a browser call us under a name of its own; such calls are not for us.
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !loopback(host) {
			writeError(w, http.StatusForbidden, errors.New("the inspection API answers on the loopback interface only"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// inspectState writes the world identity by identity, so that a large one does not lie in memory twice.
func (s *Simulator) inspectState(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	out := bufio.NewWriterSize(w, 1<<16)
	encoder := json.NewEncoder(out)
	write := func(do ...func() error) error {
		for _, f := range do {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}
	text := func(t string) func() error { return func() error { _, err := out.WriteString(t); return err } }
	value := func(v any) func() error { return func() error { return encoder.Encode(v) } }

	err := write(text(`{"roles":`), value(s.Roles()), text(`,"identities":[`))
	separator := ""
	s.eachIdentity(func(i Identity) bool {
		if err == nil {
			err = write(text(separator), value(i))
			separator = ","
		}
		return err == nil
	})
	if err == nil {
		err = write(text("]}\n"), out.Flush)
	}
	if err != nil {
		s.log.WithError(err).Debug("Simulator could not write its state")
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
}

// inspectSetFaults takes {"name":rate,…}; instead of a rate there may be an object with the fields of Fault.
func (s *Simulator) inspectSetFaults(w http.ResponseWriter, r *http.Request) {
	var faults map[string]Fault
	if !readJSON(w, r, &faults) {
		return
	}
	if err := s.SetFaults(faults); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, s.Faults())
}

// inspectRoles takes the body that the service's own call takes: a scope and role UUIDs. All are checked before one is
// changed.
func (s *Simulator) inspectRoles(do func(identity, role, scopeType, value string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Scope     Scope    `json:"scope"`
			RoleUUIDs []string `json:"roleUuids"`
		}
		if !readJSON(w, r, &body) {
			return
		}
		if len(body.RoleUUIDs) == 0 || body.Scope.Type == "" || body.Scope.Value == "" {
			writeError(w, http.StatusBadRequest, errors.New(`the body must be {"scope":{"type","value"},"roleUuids":[…]}`))
			return
		}
		identity := r.PathValue("identity")
		if _, ok := s.Identity(identity); !ok {
			writeError(w, http.StatusNotFound, fmt.Errorf("%w %s", ErrUnknownIdentity, identity))
			return
		}
		for _, role := range body.RoleUUIDs {
			if _, err := s.findRole(role); err != nil {
				writeError(w, http.StatusBadRequest, err)
				return
			}
		}
		for _, role := range body.RoleUUIDs {
			if err := do(identity, role, body.Scope.Type, body.Scope.Value); err != nil {
				writeError(w, http.StatusNotFound, err)
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into); err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("reading the body: %w", err))
		return false
	}
	return true
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // our own types always can
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone does not want it
}
