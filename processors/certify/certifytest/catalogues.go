package certifytest

import (
	"bytes"
	_ "embed" // for the catalogues of the scripts
	"sync"

	"github.com/vouch-engine/vouch/schemas/catalogue"
)

//go:embed catalogue.yaml
var firstText []byte

//go:embed next.yaml
var nextText []byte

// Catalogue is the one that scripts begin under, version 1.
var Catalogue = sync.OnceValue(func() *catalogue.Catalogue { return load("catalogue.yaml", firstText) })

// Next is the one after it, version 2.
var Next = sync.OnceValue(func() *catalogue.Catalogue { return load("next.yaml", nextText) })

// Back is version 3, which takes back all that version 2 has changed.
var Back = sync.OnceValue(func() *catalogue.Catalogue {
	return load("catalogue.yaml", bytes.Replace(firstText, []byte("version: 1"), []byte("version: 3"), 1))
})

func load(name string, text []byte) *catalogue.Catalogue {
	c, err := catalogue.Load(name, text)
	if err != nil {
		panic("certifytest: a catalogue of the scripts has mistakes: " + err.Error())
	}
	return c
}
