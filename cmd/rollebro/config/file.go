package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry is one value as somebody gave it.
type entry struct {
	name   string // as written
	value  string
	origin string
}

// parseYAML flattens a YAML document to dotted names. Keys may be nested, dotted or both; lists of plain values become one
// value with commas. Values are taken as they are written, so that 00123 and 1e3 stay what they are.
func parseYAML(data []byte, label string) ([]entry, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s is not valid YAML: %s", label, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: only one YAML document is allowed in the file", label)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s line %d: must be settings of the form \"name: value\"", label, root.Line)
	}
	return flatten(nil, "", root, label)
}

func flatten(entries []entry, prefix string, node *yaml.Node, label string) ([]entry, error) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return nil, fmt.Errorf("%s line %d: a name must be plain text", label, key.Line)
		}
		name := key.Value
		if prefix != "" {
			name = prefix + "." + name
		}
		switch value.Kind {
		case yaml.MappingNode:
			var err error
			if entries, err = flatten(entries, name, value, label); err != nil {
				return nil, err
			}
		case yaml.SequenceNode:
			var items []string
			for _, item := range value.Content {
				if item.Kind != yaml.ScalarNode {
					return nil, fmt.Errorf("%s line %d: the list %s must hold plain values", label, item.Line, name)
				}
				items = append(items, item.Value)
			}
			entries = append(entries, entry{name, strings.Join(items, ","), fmt.Sprintf("%s line %d", label, key.Line)})
		case yaml.ScalarNode:
			text := value.Value
			if value.Tag == "!!null" {
				text = ""
			}
			entries = append(entries, entry{name, text, fmt.Sprintf("%s line %d", label, key.Line)})
		default:
			return nil, fmt.Errorf("%s line %d: references (*name) are not supported; write the value out", label, value.Line)
		}
	}
	return entries, nil
}
