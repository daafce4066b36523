package bridge

// room is what makeRoom needs: a goroutine with less is given a stack of 8 KB.
type room [4 << 10]byte

// makeRoom has the goroutine's stack grown while little is on it. Whoever
// verifies a signature of a token, or reads a session from its store, needs
// more than the 4 KB that net/http leaves a handshake; to grow the stack then
// means to copy, frame by frame, twice as much.
//
//go:noinline
func makeRoom() {
	var r room
	r.use()
}

//go:noinline
func (*room) use() {}
