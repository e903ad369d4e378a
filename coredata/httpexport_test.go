package coredata

// Endpoints returns the method and path of everything that a Handler serves.
func Endpoints() []string {
	h := &handler{HandlerOptions: HandlerOptions{Service: &Service{}}}
	var names []string
	for _, e := range h.endpoints() {
		names = append(names, e.method+" "+e.path)
	}
	return names
}
