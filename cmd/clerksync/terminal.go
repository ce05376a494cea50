package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal reports whether somebody watches what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// redraws reports whether a line can be written over.
func redraws(w io.Writer) bool { return isTerminal(w) && os.Getenv("TERM") != "dumb" }

// coloured reports whether colours are wanted: https://no-color.org.
func coloured(w io.Writer) bool { return redraws(w) && os.Getenv("NO_COLOR") == "" }

// screen returns how many characters a line of a terminal has, and how many lines there are. Elsewhere both are 0.
func screen(w io.Writer) (width, height int) {
	if !isTerminal(w) {
		return 0, 0
	}
	width, height, _ = term.GetSize(int(w.(interface{ Fd() uintptr }).Fd())) // 0 where it does not tell
	return width, height
}

// colour is how a terminal is told to paint.
type colour string

const (
	green  colour = "32"
	yellow colour = "33"
	red    colour = "31"
	grey   colour = "90"
)

func (c colour) paint(text string) string { return "\x1b[" + string(c) + "m" + text + "\x1b[0m" }

var paints = regexp.MustCompile("\x1b\\[[0-9]+m")

// breadth is how many characters of a text are seen.
func breadth(text string) int { return utf8.RuneCountInString(paints.ReplaceAllString(text, "")) }

// columns is what people read in columns.
type columns [][]string

func (t *columns) row(cells ...string) { *t = append(*t, cells) }

func (t columns) print(out io.Writer) error {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "\n", "; ") // as joined errors have them
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], breadth(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range t {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-breadth(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(fitted(out), b.String())
	return err
}

// fitted returns what folds the lines that a terminal is too narrow for. It is for what people read: what they paste elsewhere stays in
// one piece. Elsewhere than on a terminal it is w.
func fitted(w io.Writer) io.Writer {
	if width, _ := screen(w); width > 0 {
		return &folding{w: w, width: width}
	}
	return w
}

type folding struct {
	w     io.Writer
	width int
	begun []byte // a line without its end
}

func (f *folding) Write(p []byte) (int, error) {
	f.begun = append(f.begun, p...)
	end := bytes.LastIndexByte(f.begun, '\n') + 1
	var b strings.Builder
	for line := range strings.Lines(string(f.begun[:end])) {
		b.WriteString(fold(line[:len(line)-1], f.width))
		b.WriteByte('\n')
	}
	f.begun = f.begun[end:]
	if _, err := io.WriteString(f.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

var words = regexp.MustCompile(` *[^ ]+`)

// fold breaks a line between words, and goes on below the last column that begins in the left half. Columns further right come as near as
// two spaces, since what is wide enough for them is not there. A word that is longer than a line stays whole: it is an id or an address, to be
// copied.
func fold(line string, width int) string {
	if width <= 0 || breadth(line) <= width {
		return line
	}
	indent := 2
	var b strings.Builder
	at := 0
	for i, word := range words.FindAllString(line, -1) {
		bare := strings.TrimLeft(word, " ")
		gap := len(word) - len(bare)
		switch {
		case gap == 0, gap == 1:
		case at+gap <= width/2:
			indent = at + gap
		default:
			gap = 2
		}
		if i > 0 && at+gap+breadth(bare) > width {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at, gap = indent, 0
		}
		b.WriteString(strings.Repeat(" ", gap) + bare)
		at += gap + breadth(bare)
	}
	return b.String()
}
