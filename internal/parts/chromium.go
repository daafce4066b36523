package parts

import (
	"context"
	"os"
	"os/exec"
	"regexp"
)

var chromiumReady = regexp.MustCompile(`DevTools listening on (ws://\S+)`)

// StartChromium starts a headless Chromium that keeps everything it writes in
// an empty folder, profile. URL is where it takes the DevTools protocol.
func StartChromium(ctx context.Context, profile string) (*Process, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, &MissingError{"chromium", "install Chromium (Debian: apt-get install chromium)"}
	}
	args := []string{
		"--headless=new", "--remote-debugging-port=0", "--user-data-dir=" + profile,
		"--no-first-run", "--no-default-browser-check", "--disable-background-networking",
		"--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "about:blank",
	}
	if os.Geteuid() == 0 {
		// Chromium has no sandbox for root. Only the tests' own pages are shown.
		args = append(args, "--no-sandbox")
	}
	p, m, err := start(ctx, exec.Command(path, args...), chromiumReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = "chromium", m[1]
	return p, nil
}
