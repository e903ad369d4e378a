package coredata

import (
	_ "embed" // the document below
	"net/http"
	"strconv"
)

// OpenAPI is the description of the API, an OpenAPI 3.0 document in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// ServeOpenAPI answers with the description. It holds nothing that is anybody's, and so needs no key.
func ServeOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Content-Length", strconv.Itoa(len(OpenAPI)))
	w.Write(OpenAPI)
}
