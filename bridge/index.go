package bridge

import "sync"

// index finds the connections of a session, and all of them.
type index struct {
	mu    sync.Mutex
	lives map[*life]struct{}
	byKey map[string]map[*life]struct{}
	empty chan struct{} // closed when draining and the last life is gone
}

func newIndex() *index {
	return &index{lives: map[*life]struct{}{}, byKey: map[string]map[*life]struct{}{}}
}

// add registers a life; it reports false once the service drains.
func (x *index) add(l *life) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.empty != nil {
		return false
	}
	x.lives[l] = struct{}{}
	return true
}

func (x *index) bind(key string, l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byKey[key] == nil {
		x.byKey[key] = map[*life]struct{}{}
	}
	x.byKey[key][l] = struct{}{}
}

func (x *index) unbind(key string, l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byKey[key], l)
	if len(x.byKey[key]) == 0 {
		delete(x.byKey, key)
	}
}

func (x *index) remove(l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.lives[l]; !ok {
		return
	}
	delete(x.lives, l)
	if x.empty != nil && len(x.lives) == 0 {
		close(x.empty)
	}
}

// drain lets nobody in any more. It returns those who are in, and a channel
// that is closed when they are gone.
func (x *index) drain() (left []*life, gone <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.empty == nil {
		x.empty = make(chan struct{})
		if len(x.lives) == 0 {
			close(x.empty)
		}
	}
	left = make([]*life, 0, len(x.lives))
	for l := range x.lives {
		left = append(left, l)
	}
	return left, x.empty
}
