package php

// Guess gives the handlers that decode data in full, the most specific first:
// what begins like igbinary is hardly anything else, while many bytes happen to
// be msgpack. It is stricter than Decode, in that no byte may be left over and
// only an array (or an object, for php_serialize) counts as a session. Of empty
// data, which every handler decodes, it says all, PHP's default first.
func Guess(data []byte) []Handler {
	if len(data) == 0 {
		return []Handler{HandlerPHP, HandlerSerialize, HandlerBinary, HandlerIgbinary, HandlerMsgpack}
	}
	var fit []Handler
	for _, h := range [...]Handler{HandlerIgbinary, HandlerSerialize, HandlerPHP, HandlerBinary} {
		d, n, err := decode(h, data)
		if err != nil || n != len(data) {
			continue
		}
		if k := d.nodes[0].kind; k == nArray || k == nObject {
			fit = append(fit, h)
		}
	}
	d, n, err := readMsgpack(single, data)
	if err == nil && n == len(data) && (d.nodes[0].kind == nArray || d.nodes[0].kind == nObject) {
		fit = append(fit, HandlerMsgpack)
	}
	return fit
}
