//go:build race

package socketio_test

func init() { raceDetector = true }
