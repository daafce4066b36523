package php

import (
	"errors"
	"fmt"
)

var (
	// ErrTooDeep is wrapped by the error for input nested deeper than MaxDepth,
	// and by AppendJSON for a value that shared parts make deeper than that.
	ErrTooDeep = errors.New("nested too deeply")

	// ErrTooLarge is wrapped by AppendJSON's error when the output would pass
	// the caller's limit, and by Decode's for input of 4 GiB and more.
	ErrTooLarge = errors.New("too large")

	// ErrUnknownHandler is wrapped by Decode's error for a Handler that is none
	// of the five.
	ErrUnknownHandler = errors.New("unknown session.serialize_handler")

	// ErrAmbiguousReference is wrapped by the error for a reference whose
	// target cannot be known without running the application's classes: it
	// counts past a Serializable object whose body may hold numbered values.
	ErrAmbiguousReference = errors.New("reference past an opaque object")
)

// SyntaxError says where data stopped being what a format allows. Its text
// holds no session content.
type SyntaxError struct {
	Format Handler // the format that was being read
	Offset int     // bytes from the start of the data
	Want   string  // what was expected there
	Err    error   // ErrTooDeep and the like, or nil
}

func (e *SyntaxError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("php: %s: offset %d: %v", e.Format, e.Offset, e.Err)
	}
	return fmt.Sprintf("php: %s: offset %d: expected %s", e.Format, e.Offset, e.Want)
}

// Unwrap returns e.Err.
func (e *SyntaxError) Unwrap() error { return e.Err }
