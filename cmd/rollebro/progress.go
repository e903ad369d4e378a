package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress shows how far long work is: a bar on a terminal, a line at every tenth elsewhere.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	label    string
	terminal bool
	width    int
	now      func() time.Time

	began  time.Time
	drawn  time.Time
	tenth  int
	total  int
	done   int
	shown  bool
	closed bool
}

// redraw is how long the bar stays as it is at least.
const redraw = 100 * time.Millisecond

func (p *program) progress(label string) *progress {
	return &progress{
		w: p.stderr, label: label, terminal: isTerminal(p.stderr), width: terminalWidth(p.stderr),
		now: p.now, began: p.now(), tenth: -1,
	}
}

// update is told how far the work is. It may be called from several goroutines; total may grow.
func (g *progress) update(done, total int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if total <= 0 || g.closed || done < g.done {
		return
	}
	g.done, g.total = done, total
	if g.terminal {
		if now := g.now(); done >= total || now.Sub(g.drawn) >= redraw {
			g.drawn = now
			g.draw()
		}
		return
	}
	if tenth := done * 10 / total; tenth > g.tenth {
		g.tenth = tenth
		fmt.Fprintf(g.w, "%s: %d of %d (%d %%)%s\n", g.label, done, total, done*100/total, g.remaining())
	}
}

// draw writes the bar over the one before.
func (g *progress) draw() {
	g.shown = true
	text := fmt.Sprintf(" %d/%d %3d %%%s", g.done, g.total, g.done*100/g.total, g.remaining())
	room := min(40, g.width-len(g.label)-len(text)-4)
	bar := ""
	if room >= 5 {
		full := room * g.done / g.total
		bar = " [" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "]"
	}
	fmt.Fprintf(g.w, "\r\x1b[K%s%s%s", g.label, bar, text)
}

// remaining estimates how long it still takes, once that can be told.
func (g *progress) remaining() string {
	spent := g.now().Sub(g.began)
	if g.done == 0 || g.done >= g.total || spent < 2*time.Second {
		return ""
	}
	left := time.Duration(float64(spent) / float64(g.done) * float64(g.total-g.done))
	return ", " + left.Round(time.Second).String() + " left"
}

// close ends the bar's line.
func (g *progress) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.shown {
		g.draw()
		fmt.Fprintln(g.w)
	}
}
