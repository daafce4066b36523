package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/cookie"
)

// entry is one stack as the command line knows it.
type entry struct {
	name  string
	about string // the software

	// example is the stack with its defaults, for listing them.
	example cookie.Stack

	takes    takes
	handlers []string // what --handler may be; nil: the stack has none

	// cookies are further names that the stack's cookie has by default.
	cookies []string

	// shape says whether a cookie can be the stack's, whatever its name.
	shape func(c namedCookie, jar cookie.Jar) shape

	// ways makes the stack from the flags. There are several if the flags
	// leave open how the stack is set up; they are all tried.
	ways func(s *settings, cookieName string) ([]cookie.Stack, error)
}

// registry holds the stacks in the order in which auto prefers them if several
// fit equally well.
var registry = slices.Concat(phpStacks, nodeStacks, furtherStacks)

func one(cookieName string, s cookie.Stack) []cookie.Stack {
	s.Cookie = cookieName
	return []cookie.Stack{s}
}

// auto stands for the stack that is to be found out.
var auto = &entry{
	name:     "auto",
	about:    "tries every stack that the cookie's name and shape allow",
	takes:    takesAll,
	handlers: append(slices.Clone(phpHandlers), "json", "gob"),
}

// find returns a stack's entry.
func find(name string) (*entry, error) {
	if name == auto.name {
		return auto, nil
	}
	names := make([]string, 0, len(registry)+1)
	for _, e := range registry {
		if e.name == name {
			return e, nil
		}
		names = append(names, e.name)
	}
	return nil, usagef("there is no stack %q; --stack is one of %s", name, strings.Join(append(names, auto.name), ", "))
}

// flags lists the flags of a stack by name.
func (e *entry) flags() []string {
	var list []string
	for _, f := range []struct {
		takes takes
		name  string
	}{
		{takesSecret, "--secret"},
		{takesAppKey, "--app-key"},
		{takesPrefix, "--prefix"},
		{takesSavePath, "--save-path"},
		{takesCompression, "--compression"},
		{takesGuard, "--guard"},
		{takesUnsigned, "--insecure-unsigned"},
	} {
		if e.takes&f.takes != 0 {
			list = append(list, f.name)
		}
	}
	if len(e.handlers) > 0 {
		list = append(list, "--handler")
	}
	return append(list, "--cookie-name", "--user")
}

// printStacks prints one stack a line: its name, what it is, then its settings
// with their defaults.
func printStacks(w io.Writer) error {
	for _, e := range append(slices.Clone(registry), auto) {
		if _, err := fmt.Fprintf(w, "%-15s %s; %s\n", e.name, e.about, strings.Join(e.defaults(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// defaults lists a stack's settings as they would be written on the command
// line; a setting without a default has its kind of value in angle brackets.
func (e *entry) defaults() (list []string) {
	if e != auto {
		switch {
		case e.example.Cookie == "":
			list = append(list, "--cookie-name <required>")
		case len(e.cookies) > 0:
			list = append(list, "--cookie-name "+e.example.Cookie+" (or "+strings.Join(e.cookies, ", ")+")")
		default:
			list = append(list, "--cookie-name "+e.example.Cookie)
		}
		if e.takes&takesPrefix != 0 {
			list = append(list, "--prefix "+quoteArg(e.example.Keyspace.Prefix))
		}
		if len(e.handlers) > 0 {
			list = append(list, "--handler "+strings.Join(e.handlers, "|"))
		}
		if e.example.User != "" {
			list = append(list, "--user "+quoteArg(e.example.User))
		} else {
			list = append(list, "--user <found>")
		}
	}
	for _, f := range []struct {
		takes takes
		text  string
	}{
		{takesSecret, "--secret <secret>"},
		{takesAppKey, "--app-key <APP_KEY>"},
		{takesSavePath, "--save-path <session.save_path>"},
		{takesCompression, "--compression <found>"},
		{takesGuard, "--guard web"},
		{takesUnsigned, "--insecure-unsigned=false"},
	} {
		if e.takes&f.takes != 0 {
			list = append(list, f.text)
		}
	}
	return list
}

// quoteArg writes a value as a shell takes it.
func quoteArg(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.,:/@%=", r)
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
