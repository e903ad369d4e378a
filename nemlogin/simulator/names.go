package simulator

import (
	"fmt"
	"strings"
)

// Names are invented combinations of common Danish names; none is longer than MitID Erhverv's fields take.
var (
	femaleNames = []string{
		"Anne", "Kirsten", "Mette", "Hanne", "Anna", "Helle", "Susanne", "Lene", "Maria", "Marianne", "Inge", "Karen",
		"Lone", "Bente", "Camilla", "Pia", "Charlotte", "Louise", "Tina", "Gitte", "Jette", "Ida", "Emma", "Julie",
		"Cecilie", "Rikke", "Sofie", "Line", "Trine", "Signe", "Maja", "Freja", "Laura", "Katrine", "Stine", "Birgit",
		"Dorthe", "Malene", "Åse", "Kirstine", "Sanne", "Astrid", "Vibeke", "Nanna", "Ditte", "Johanne", "Amalie", "Fatima",
	}
	maleNames = []string{
		"Peter", "Michael", "Lars", "Jens", "Thomas", "Henrik", "Søren", "Christian", "Martin", "Jan", "Morten", "Jesper",
		"Anders", "Niels", "Rasmus", "Hans", "Mads", "Per", "Ole", "Kim", "Jørgen", "Mikkel", "Frederik", "Kasper",
		"Emil", "Magnus", "Oliver", "Mathias", "Simon", "Claus", "Torben", "Bo", "Steen", "Erik", "Daniel", "Jonas",
		"Tobias", "Villads", "Åge", "Asger", "Troels", "Kristian", "Bjarne", "Flemming", "Ahmed", "Nikolaj", "Victor", "Jakob",
	}
	surnames = []string{
		"Jensen", "Nielsen", "Hansen", "Pedersen", "Andersen", "Christensen", "Larsen", "Sørensen", "Rasmussen",
		"Jørgensen", "Petersen", "Madsen", "Kristensen", "Olsen", "Thomsen", "Christiansen", "Poulsen", "Johansen",
		"Møller", "Mortensen", "Knudsen", "Jakobsen", "Mikkelsen", "Frederiksen", "Laursen", "Lund", "Holm", "Schmidt",
		"Eriksen", "Kristiansen", "Clausen", "Simonsen", "Svendsen", "Andreasen", "Iversen", "Østergaard", "Jeppesen",
		"Vestergaard", "Nissen", "Lauridsen", "Kjær", "Jespersen", "Mogensen", "Nørgaard", "Jepsen", "Frandsen",
		"Søndergaard", "Bach", "Dahl", "Bruun", "Skov", "Åkjær", "Winther", "Toft", "Ali", "Bech", "Friis", "Krogh",
	}
	middleNames = []string{"Holst", "Krogh", "Bang", "Lykke", "Skov", "Bjerre", "Juul", "Ravn"}
)

// Areas and functions combine into role names of the kind MitID Erhverv shows: "NemRefusion – Indberetter". Every area
// gives several roles with the same prefix, as the national catalogue does.
var (
	roleAreas = []string{
		"NemRefusion", "Energiportalen", "Affaldsregistret", "Virk Indberetning", "Skolernes Datahus", "Byggesagsportalen",
		"Feriepengeportalen", "Sygesikringsportalen", "Husdyrindberetning", "Tilsynsportalen", "Lægemiddelindberetning",
		"Vandregistret", "Plejehjemsoversigten", "Jobportalen", "Uddannelsesportalen", "Statistikindberetning",
		"Grunddataportalen", "Adresseportalen", "Borgerservice Selvbetjening", "Kørselsregistret", "Tinglysning Kommune",
		"Arbejdsskadeportalen", "Praktikportalen", "Miljøgodkendelser", "Dagtilbudsindberetning", "Tandplejeregistret",
		"Udbudsportalen", "Støtteordninger", "Vejregistret", "Pensionsindberetning", "Hjælpemiddelbasen",
		"Elevregistret", "Kulturmiljøportalen", "Beredskabsportalen", "Fødevaretilsyn", "Ejendomsvurdering Kommune",
		"Bygge- og Boligportalen", "Asylregistret", "Voksenudredning", "Digital Fuldmagt",
	}
	roleFunctions = []string{"Indberetter", "Læseadgang", "Godkender", "Administrator", "Sagsbehandler"}
	basicPackage  = []string{"Basispakke – Virk", "Basispakke – Selvbetjening"}
	outsideRoles  = []string{"Udgået – Refusionsarkiv", "Intern – Supportadgang", "Leverandør – Pilotadgang"}

	unitNames = []string{
		"Rådhuset", "Søndergades Skole", "Plejecenter Bøgelund", "Børnehuset Regnbuen", "Jobcentret", "Hovedbiblioteket",
		"Genbrugsstationen", "Materielgården", "Tandklinikken", "Musikskolen", "Hjemmeplejen Nord", "Hjemmeplejen Syd",
		"Ungdomsskolen", "Svømmehallen", "Sundhedscentret", "Familiecentret", "Brandstationen", "Museet",
	}
	streetNames = []string{
		"Torvegade", "Søndergade", "Nørregade", "Skolevej", "Bøgevej", "Stationsvej", "Møllevej", "Kirkestræde",
		"Havnegade", "Engvej",
	}
)

// roleName returns the name of the i-th role of the catalogue.
func roleName(i int) string {
	if i < len(basicPackage) {
		return basicPackage[i]
	}
	i -= len(basicPackage)
	round := i / (len(roleAreas) * len(roleFunctions))
	i %= len(roleAreas) * len(roleFunctions)
	name := roleAreas[i%len(roleAreas)] + " – " + roleFunctions[i/len(roleAreas)]
	if round > 0 {
		name = fmt.Sprintf("%s (%d)", name, round+1)
	}
	return name
}

// unitName returns the name of the i-th production unit.
func unitName(i int) string {
	name := unitNames[i%len(unitNames)]
	if round := i / len(unitNames); round > 0 {
		return fmt.Sprintf("%s %d", name, round+1)
	}
	return name
}

var asciiReplacer = strings.NewReplacer(
	"æ", "ae", "ø", "oe", "å", "aa", "Æ", "Ae", "Ø", "Oe", "Å", "Aa", " ", ".")

// ascii writes a name with the letters a-z alone: MitID Erhverv refuses æ, ø and å in e-mail addresses of users who get a
// certificate.
func ascii(name string) string { return strings.ToLower(asciiReplacer.Replace(name)) }
