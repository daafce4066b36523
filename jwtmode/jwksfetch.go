package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// get fetches the keys.
func (k *JWKS) get(ctx context.Context) (*keySet, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	asked := time.Now()
	res, err := (&boundedClient{k.opts.Client, k.opts.MaxBytes}).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	set, err := parseKeySet(body)
	if err != nil {
		return nil, err
	}
	set.fetched = asked
	return set, nil
}

// boundedClient is a client as a transport. It gives out answers of status 200
// only, and of them no more than max bytes: a longer one ends with an error.
type boundedClient struct {
	client *http.Client
	max    int64
}

func (c *boundedClient) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("the issuer answered %d, not 200", res.StatusCode)
	}
	res.Body = &boundedBody{res.Body, c.max}
	return res, nil
}

var errTooLong = errors.New("the issuer's answer is longer than MaxBytes")

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		return int(b.left), errTooLong
	}
	b.left -= int64(n)
	return n, err
}

// newClient is the default of JWKSOptions.Client. Fetches are minutes apart: a
// connection kept open would be of no use, and its goroutines never end.
func newClient(insecureHTTP bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DisableKeepAlives: true,
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("more than 3 redirects")
			}
			return checkURL(r.URL.String(), insecureHTTP)
		},
	}
}

// checkURL refuses a URL whose answer anybody on the way could have written.
func checkURL(s string, insecureHTTP bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("the URL is not of the form https://host/path")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (insecureHTTP || isLoopback(u.Hostname())):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("%s is reached by http, so that anybody on the way can change the answer; use https, or set InsecureHTTP", u.Host)
	default:
		return fmt.Errorf("the URL's scheme is %q; use https", u.Scheme)
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
