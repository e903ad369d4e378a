package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// declaredReasons reads the constants out of the source, so that a new one can't be forgotten here.
func declaredReasons(t *testing.T) []Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Reason" {
			for _, v := range spec.Values {
				literal, ok := v.(*ast.BasicLit)
				if !ok {
					t.Fatalf("a reason is not a text: %v", v)
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				reasons = append(reasons, Reason(text))
			}
		}
		return true
	})
	return reasons
}

func TestReasonText(t *testing.T) {
	t.Parallel()
	reasons := declaredReasons(t)
	if len(reasons) < 20 {
		t.Fatalf("only %d reasons found in the source", len(reasons))
	}
	texts := make(map[string]Reason)
	for _, r := range reasons {
		text := r.Text()
		if text == "" || text == string(r) {
			t.Errorf("reason %s has no text", r)
		}
		if other, ok := texts[text]; ok {
			t.Errorf("reasons %s and %s have the same text", r, other)
		}
		texts[text] = r
	}
	if got := Reason("of_a_newer_version").Text(); got != "of_a_newer_version" {
		t.Errorf("an unknown reason reads %q", got)
	}
}
