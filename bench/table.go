package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// table is written as Markdown.
type table struct {
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) writeTo(w io.Writer) error {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(c, "|", `\|`))
		}
		b.WriteString("|\n")
	}
	line(t.columns)
	b.WriteString(strings.Repeat("|---", len(t.columns)) + "|\n")
	for _, r := range t.rows {
		line(r)
	}
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}

func ratio(v float64) string { return fmt.Sprintf("%.2f", v) }

// against says how a figure stands to its bar.
func against[T ~int64 | ~float64 | ~int](v, bar T, strictly bool, text string) string {
	if v < bar || v == bar && !strictly {
		return text + ": met"
	}
	return text + ": **missed**"
}
