package steplog

import (
	"encoding/json"
	"testing"
)

// pages is a log with its mark, as the spool keeps it.
type pages struct {
	text []byte
	mark []byte
	at   int // how much text there was at the mark
}

func (p *pages) Write(text []byte) (int, error) { return p.WriteMarked(text, nil) }

func (p *pages) WriteMarked(text []byte, mark any) (n int, err error) {
	p.text = append(p.text, text...)
	if mark != nil {
		p.mark, err = json.Marshal(mark)
		p.at = len(p.text)
	}
	return len(text), err
}

func (p *pages) Flush() error { return nil }

// TestQuoteAfterARestart: what was published of a quotation when the daemon ended is not
// written again, wherever that was, and what follows is.
func TestQuoteAfterARestart(t *testing.T) {
	quote := func(log *Log) {
		log.Line("begin")
		log.Quote("service db", []byte("one\n::error::two\nthree"))
		log.Quote("service db", nil)
		log.Line("end")
	}
	whole := &pages{}
	quote(New(whole, token, false))
	const head = "begin\n::group::service db\n::stop-commands::" + token + "\n"
	const end = "::" + token + "::\n::endgroup::\n"
	const text = head + "one\n::error::two\nthree\n"
	want := text + end + "::group::service db\n::stop-commands::" + token + "\n" + end + "end\n"
	if string(whole.text) != want {
		t.Fatalf("undisturbed:\n%s", whole.text)
	}
	before := &pages{}
	New(before, token, false).Line("begin")
	for cut := before.at; cut <= len(text); cut++ {
		log, marked := &pages{text: []byte(text)[:cut:cut]}, Mark{}
		if err := json.Unmarshal(before.mark, &marked); err != nil {
			t.Fatal(err)
		}
		resumed := New(log, token, false)
		resumed.Resume(Earlier{Mark: marked, Behind: int64(cut - before.at), Open: text[cut-1] != '\n'})
		quote(resumed)
		if string(log.text) != want {
			t.Errorf("cut at %d:\n%s", cut, log.text)
		}
	}
	var marked Mark
	if err := json.Unmarshal(whole.mark, &marked); err != nil {
		t.Fatal(err)
	}
	resumed := New(whole, token, false)
	resumed.Resume(Earlier{Mark: marked})
	quote(resumed)
	if string(whole.text) != want {
		t.Errorf("after the end:\n%s", whole.text)
	}
}

// TestQuoteOfAnotherText: a text that is shorter after a restart ends its quotation all
// the same.
func TestQuoteOfAnotherText(t *testing.T) {
	log := &pages{}
	resumed := New(log, token, false)
	resumed.Resume(Earlier{Mark: Mark{Token: token}, Behind: 1000, Open: true})
	resumed.Quote("service db", []byte("short\n"))
	resumed.Line("end")
	if want := "\n::" + token + "::\n::endgroup::\nend\n"; string(log.text) != want {
		t.Errorf("got %q, want %q", log.text, want)
	}
}
