// Package php reads everything that PHP's five session.serialize_handler
// formats can hold: php, php_serialize, php_binary, igbinary and msgpack.
//
//	session, err := php.Decode(php.HandlerPHP, data)
//	…
//	id, ok := session.At("user", "id")
//
// Decode turns one stored session into a Value in a single pass. The result is
// a compact document that refers to the input by offset, so the input must not
// be modified while a Value made from it is in use. Nothing is executed and no
// class is known: an object is its class name and its properties, an enum case
// its two names, and the body of a Serializable object stays an opaque string.
//
// Input is treated as hostile. Counts and lengths are checked against what is
// left of the input before anything is allocated, nesting is limited to
// MaxDepth, decoding n bytes never holds more than 64·n + 64 KiB, and bad input
// gives an error, never a panic.
//
// # Agreement with PHP
//
// Where the formats have corners, PHP's own readers decide, both in what they
// tolerate and in what they refuse: ext/session/session.c and
// ext/standard/var_unserializer.re of php-src, src/php7/igbinary.c of igbinary,
// and msgpack_unpack.c of msgpack-php. A value is read as PHP reads it when the
// application's classes are not loaded. The differences are these:
//
//   - An enum's case is taken as it is written. PHP looks it up.
//   - A class that PHP never unserializes, such as Closure, is an object like
//     any other.
//   - A reference that counts past the body of a Serializable object is refused
//     (ErrAmbiguousReference) when that body may hold values with numbers of
//     their own: PHP's answer depends on the class.
//   - igbinary nests no deeper than MaxDepth. The extension has no limit.
//   - In msgpack, what the extension never writes is refused where it would
//     guess: an array as a key, a second class or further entries beside a
//     reference in one map.
package php
