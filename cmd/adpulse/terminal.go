package main

import (
	"io"
	"sync"
)

// Control sequences of a terminal: to the first column and clear the line.
const clearLine = "\r\x1b[K"

// bottomLine keeps one line below everything else that is written to a
// terminal. Its methods may be called concurrently.
type bottomLine struct {
	mu   sync.Mutex
	w    io.Writer
	text string
}

// Write puts p, which ends in a newline, above the line.
func (b *bottomLine) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text == "" {
		return b.w.Write(p)
	}
	whole := append([]byte(clearLine), p...)
	if _, err := b.w.Write(append(whole, b.text...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show replaces the line; "" takes it away. columns is the terminal's width,
// past which text is cut, for a line that wraps cannot be cleared.
func (b *bottomLine) show(text string, columns int) {
	if runes := []rune(text); len(runes) >= columns && columns > 1 {
		text = string(runes[:columns-1])
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = text
	// A terminal that went away takes the line with it; the log says why a
	// write to it fails, and the node goes on.
	_, _ = io.WriteString(b.w, clearLine+text)
}
