package main

import (
	"bytes"
	"strconv"
)

// commandScanner takes apart what a Redis client sends, in pieces of any
// length: arrays of bulk strings (the RESP specification, "Sending commands to
// a Redis server"). It keeps only the first two words of a command, and only
// their beginning. What is not in that form ends the scanning for good.
type commandScanner struct {
	emit func(name, key string)

	state commandState
	line  []byte // of a length, unfinished
	words int    // still to come in this command
	index int    // of the word that is read
	rest  int    // bytes still to come of it, with its line break
	name  []byte
	key   []byte
}

type commandState uint8

const (
	atCommand commandState = iota
	atLength
	inWord
	broken
)

// maxKept is how much of a word is kept, and maxLine how long the line of a
// length may be.
const (
	maxKept = 1024
	maxLine = 24
)

// feed scans the next piece. emit is called with each command that it
// completes: its name in upper case, and its first argument if it has one.
func (s *commandScanner) feed(p []byte) {
	for len(p) > 0 && s.state != broken {
		if s.state == inWord {
			p = s.word(p)
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			i = len(p) - 1
		}
		s.line = append(s.line, p[:i+1]...)
		p = p[i+1:]
		if len(s.line) > maxLine {
			s.state = broken
		} else if s.line[len(s.line)-1] == '\n' {
			s.length()
		}
	}
}

// length takes in a whole line.
func (s *commandScanner) length() {
	kind, digits := s.line[0], bytes.TrimSuffix(s.line[1:], []byte("\r\n"))
	n, err := strconv.Atoi(string(digits))
	s.line = s.line[:0]
	const most = 512 << 20 // of a bulk string
	switch {
	case err != nil || n < 0 || n > most:
		s.state = broken
	case s.state == atCommand && kind == '*':
		s.words, s.index = n, 0
		s.name, s.key = s.name[:0], s.key[:0]
		if n > 0 {
			s.state = atLength
		}
	case s.state == atLength && kind == '$':
		s.rest, s.state = n+len("\r\n"), inWord
	default:
		s.state = broken
	}
}

// word takes in what p has of the present word, and returns what is left of p.
func (s *commandScanner) word(p []byte) []byte {
	n := min(len(p), s.rest)
	text := min(n, max(s.rest-len("\r\n"), 0)) // without the line break
	switch s.index {
	case 0:
		s.name = appendBounded(s.name, p[:text])
	case 1:
		s.key = appendBounded(s.key, p[:text])
	}
	if s.rest -= n; s.rest == 0 {
		s.state = atLength
		s.index++
		if s.words--; s.words == 0 {
			s.state = atCommand
			s.emit(string(bytes.ToUpper(s.name)), string(s.key))
		}
	}
	return p[n:]
}

func appendBounded(dst, p []byte) []byte {
	return append(dst, p[:min(len(p), maxKept-len(dst))]...)
}
