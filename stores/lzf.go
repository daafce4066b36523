package stores

// lzfLiterals is the first control byte that does not say how many literal
// bytes follow. Compressed data begins with such a run.
const lzfLiterals = 1 << 5

// unlzf decompresses what LibLZF's lzf_compress wrote (lzf_d.c): runs of
// literal bytes, and copies of up to 264 bytes from up to 8 KiB before. It has
// no header and no checksum. The data is gone through twice, so that nothing is
// reserved for what turns out to be broken.
func unlzf(data []byte) ([]byte, error) {
	size, ok := lzfSize(data)
	switch {
	case !ok || size == 0:
		return nil, errNotCompressed
	case size > MaxValue:
		return nil, errDecompressed
	}
	plain := make([]byte, 0, size)
	for i := 0; i < len(data); {
		ctrl := int(data[i])
		i++
		if ctrl < lzfLiterals {
			plain = append(plain, data[i:i+ctrl+1]...)
			i += ctrl + 1
			continue
		}
		n, back := ctrl>>5, ctrl&31<<8
		if n == 7 {
			n += int(data[i])
			i++
		}
		back += int(data[i]) + 1
		i++
		// Byte by byte: a copy may overlap what it makes.
		for from := len(plain) - back; n+2 > 0; n-- {
			plain = append(plain, plain[from])
			from++
		}
	}
	return plain, nil
}

// lzfSize returns how many bytes data decompresses to; ok is false if it is
// broken.
func lzfSize(data []byte) (size int, ok bool) {
	for i := 0; i < len(data); {
		ctrl := int(data[i])
		i++
		if ctrl < lzfLiterals {
			if i += ctrl + 1; i > len(data) {
				return 0, false
			}
			size += ctrl + 1
			continue
		}
		n, back := ctrl>>5, ctrl&31<<8
		if n == 7 && i < len(data) {
			n += int(data[i])
			i++
		}
		if i >= len(data) {
			return 0, false
		}
		back += int(data[i]) + 1
		i++
		if back > size {
			return 0, false
		}
		size += n + 2
	}
	return size, true
}
