package userfile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/cmd/rollebro/userfile"
	"github.com/rollebro/rollebro/rolecatalog"
)

const (
	one = "aaaaaaaa-0000-4000-8000-000000000001"
	two = "bbbbbbbb-0000-4000-8000-000000000002"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data, format string
		want               []rolecatalog.UserRow
		warnings           int
	}{
		{
			"as the simulator writes it", "userId,name,email,cpr,nemloginUuid\nab12,Åse Ørum,a@b.dk,0101700000," + one + "\n", "CSV",
			[]rolecatalog.UserRow{{Line: 2, UserID: "ab12", Name: "Åse Ørum", Email: new("a@b.dk"), CPR: "0101700000", NemLoginUUID: new(one)}},
			0,
		},
		{
			"from a Danish spreadsheet", "\ufeffBruger-id;Navn;NemLogin UUID;Domæne;Deaktiveret;extUuid\r\n\r\nab12;\"Orm, \"\"Åge\"\"\";;Skole;ja;" + two + "\r\n;;;;;\r\ncd34;C;" + one + ";;;\r\n", "CSV",
			[]rolecatalog.UserRow{
				{Line: 3, UserID: "ab12", Name: `Orm, "Åge"`, NemLoginUUID: new(""), Domain: "Skole", Disabled: new(true), ExtUUID: new(two)},
				{Line: 5, UserID: "cd34", Name: "C", NemLoginUUID: new(one), ExtUUID: new("")},
			},
			0,
		},
		{
			"with tabs", "samAccountName\tname\tnemlogin_uuid\nx\ty\t\n", "CSV",
			[]rolecatalog.UserRow{{Line: 2, UserID: "x", Name: "y", NemLoginUUID: new("")}},
			0,
		},
		{
			"Windows-1252", "userId,name,nemloginUuid\nx,\xc5se,\n", "CSV",
			[]rolecatalog.UserRow{{Line: 2, UserID: "x", Name: "Åse", NemLoginUUID: new("")}},
			1,
		},
		{
			"a name over two lines", "userId,name,nemloginUuid\nx,\"a\nb\",\ny,z,\n", "CSV",
			[]rolecatalog.UserRow{
				{Line: 2, UserID: "x", Name: "a\nb", NemLoginUUID: new("")},
				{Line: 4, UserID: "y", Name: "z", NemLoginUUID: new("")},
			},
			0,
		},
		{
			"CoreData", `{"domain":"skovby.dk","globalSubDomain":null,"entryList":[
				{"uuid":"` + one + `","cpr":"0101700000","name":"A","email":null,"samAccountName":"AB12","subDomain":null,"nsisAllowed":true,"attributes":{"x":"y"}},
				{"uuid":"` + two + `","cpr":"0000000000","name":"B","samAccountName":"cd34","subDomain":"skole","externalNemloginUserUuid":"` + one + `"}]}`, "CoreData JSON",
			[]rolecatalog.UserRow{
				{Line: 2, UserID: "AB12", Name: "A", CPR: "0101700000", ExtUUID: new(one), Domain: "skovby.dk"},
				{Line: 3, UserID: "cd34", Name: "B", ExtUUID: new(two), NemLoginUUID: new(one), Domain: "skole"},
			},
			0,
		},
		{
			"organisation", "{\"orgUnits\":[{\"uuid\":\"x\"}],\n\"users\":[\n{\"uuid\":\"" + two + "\",\"extUuid\":\"" + one + "\",\"userId\":\"kdir\",\"name\":\"K\",\"nemloginUuid\":\"\",\"disabled\":false}]}", "organisation JSON",
			[]rolecatalog.UserRow{{Line: 3, UserID: "kdir", Name: "K", ExtUUID: new(one), NemLoginUUID: new(""), Disabled: new(false)}},
			0,
		},
		{
			"a bare list", `[{"userId":"kdir","name":"K"}]`, "JSON list",
			[]rolecatalog.UserRow{{Line: 1, UserID: "kdir", Name: "K"}},
			0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file, err := userfile.Parse([]byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, file.Rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if file.Format != test.format || len(file.Warnings) != test.warnings {
				t.Errorf("format %q, warnings %q", file.Format, file.Warnings)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const heading = "userId,name,nemloginUuid,disabled\n"
	for _, test := range []struct{ name, data, want string }{
		{"nothing", " \n", "the file is empty"},
		{"only a heading", heading, "there are no users in the file"},
		{"UTF-16", "\xff\xfeu\x00", "the file is in UTF-16; save it as CSV in UTF-8"},
		{"not text", "PK\x03\x04\x00", "the file is not text; CSV or JSON is needed"},
		{
			"every bad row", heading + "a,b,,maybe\nc,d\ne,f,,true\ng,h,,0101700000\n",
			"line 2: disabled is \"maybe\"; it must be true or false\nline 3: 2 fields, but the heading has 4\nline 5: disabled is \"…\"; it must be true or false",
		},
		{"quotes", heading + "a,b,,\nc,\"d,,\n", "line 3: the quotation marks are wrong: extraneous or missing \" in quoted-field"},
		{"unknown column", "userId,name,nemloginUuid,shoe\n", "line 1: unknown column \"shoe\"; known are userId, name, email, cpr, nemloginUuid, domain, extUuid, disabled"},
		{"twice", "userId,name,nemloginUuid,NAVN\n", "line 1: the column name is there twice"},
		{"missing", "userId;name\n", "line 1: the column nemloginUuid is missing; the first line must name the columns, e.g. userId,name,email,cpr,nemloginUuid"},
		{"JSON cut off", "{\"users\":[\n{\"userId\":\"x\",\"name\":\"y\"},", "line 2: the JSON ends too early"},
		{"JSON wrong", "{\"users\":[\n{\"userId\" \"x\"}]}", "line 2: not valid JSON: invalid character '\"' after object key"},
		{"JSON other", `{"orgUnits":[]}`, `line 1: there is neither "entryList" (CoreData) nor "users" (organisation) in the JSON`},
		{"JSON no list", `{"users":{}}`, `line 1: users must be a list`},
		{"JSON after the end", `[{"userId":"x"}]x`, `line 1: there is something after the end of the JSON`},
		{"JSON types", "[\n{\"userId\":\"x\",\"cpr\":101700000},\nnull,\n7,\n{\"disabled\":\"no\"}]", "line 2: cpr is a number; it must be a string\nline 3: an entry must be a user in curly brackets\nline 4: an entry must be a user in curly brackets\nline 5: disabled is a string; it must be a bool"},
		{"JSON not UTF-8", "[\"\xc5\"]", "the file is not UTF-8, which JSON has to be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := userfile.Parse([]byte(test.data))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("userId,name,email,cpr,nemloginUuid\nab12,A,a@b.dk,0101700000,\n"))
	f.Add([]byte("userId;name;nemloginUuid\n\"x\n"))
	f.Add([]byte(`{"domain":"d","entryList":[{"samAccountName":"x","name":"y","cpr":"0101700000"}]}`))
	f.Add([]byte(`[{"userId":"x"},null,[]]`))
	f.Add([]byte("userId,name,nemloginUuid\nx,\xc5,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := userfile.Parse(data)
		if err == nil && len(file.Rows) == 0 {
			t.Fatal("neither users nor an error")
		}
		last := 0
		for _, row := range file.Rows {
			if row.Line < 1 || row.Line < last || row.Line > 1+strings.Count(string(data), "\n") {
				t.Fatalf("line %d after %d", row.Line, last)
			}
			last = row.Line
		}
	})
}
