package cookie_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

type laravelLogin struct {
	phpLogin
	Keys                        []string
	Cipher, CookieName, Outcome string
	InCookie                    bool
}

// stack is the stack as the application's .env has it.
func (l laravelLogin) stack() cookie.Stack {
	of := cookie.Laravel
	if l.InCookie {
		of = cookie.LaravelCookieDriver
	}
	stack := of(l.Keys[0], l.Keys[1:]...)
	stack.Cookie = l.CookieName
	if prefix := strings.TrimSuffix(l.Key, l.ID); l.ID != "" && !strings.HasPrefix(l.Key, "laravel") {
		stack.Keyspace.Prefix, stack.Keyspace.Alternatives = prefix, nil
	}
	return stack
}

func TestLaravelLogins(t *testing.T) {
	for _, l := range vectors.Read[laravelLogin](t, "laravel.json") {
		t.Run(l.Name, func(t *testing.T) {
			if l.Outcome == "rejected" {
				// Laravel 8 knows no previous keys: to it, one key is given.
				stack := cookie.Laravel(l.Keys[0])
				if _, err := stack.Opener.Open(cookie.Jar{l.Cookie}, stack.Cookie); err == nil || errors.Is(err, cookie.ErrNoCookie) {
					t.Errorf("Open without the previous key = %v, want a refusal", err)
				}
				return
			}
			stack := l.stack()
			l.walk(t, stack)

			set := cookie.NewLaravelEncrypter(l.Keys[0], l.Keys[1:]...)
			set.Cipher = strings.ToLower(l.Cipher)
			if l.InCookie {
				stack.Opener = cookie.LaravelInCookie(set)
			} else {
				stack.Opener = cookie.LaravelEncrypted(set)
			}
			l.walk(t, stack)
		})
	}
}

// The other cipher and the other keys open nothing.
func TestLaravelOpensNothingElse(t *testing.T) {
	other := "base64:" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	for _, l := range vectors.Read[laravelLogin](t, "laravel.json") {
		t.Run(l.Name, func(t *testing.T) {
			stack := cookie.Laravel(other)
			if _, err := stack.Opener.Open(cookie.Jar{l.Cookie}, l.CookieName); err == nil || errors.Is(err, cookie.ErrNoCookie) {
				t.Errorf("with another key: %v, want a refusal", err)
			}
			e := cookie.NewLaravelEncrypter(l.Keys[0], l.Keys[1:]...)
			e.Cipher = strings.NewReplacer("CBC", "GCM", "GCM", "CBC").Replace(l.Cipher)
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
			if _, err := cookie.LaravelEncrypted(e).Open(cookie.Jar{l.Cookie}, l.CookieName); err == nil || errors.Is(err, cookie.ErrNoCookie) {
				t.Errorf("with another cipher: %v, want a refusal", err)
			}
			renamed := cookie.Jar{"x" + strings.Split(l.Cookie, ";")[0]}
			if _, err := l.stack().Opener.Open(renamed, "x"+l.CookieName); err == nil || errors.Is(err, cookie.ErrNoCookie) {
				t.Errorf("under another name: %v, want a refusal", err)
			}
		})
	}
}

type laravelCookieCase struct {
	Name, Cookie, Cipher, ID    string
	Keys                        []string
	Accepted, Adopted, Remember bool
	Status                      int
}

// The verdicts of the real EncryptCookies, StartSession and SessionGuard.
// Adopted: Laravel makes a session of its own under the id that the client
// sent.
func TestLaravelCookieVerdicts(t *testing.T) {
	for _, c := range vectors.Read[laravelCookieCase](t, "laravel-cookies.json") {
		t.Run(c.Name, func(t *testing.T) {
			stack := cookie.Laravel(c.Keys[0])
			opened, err := stack.Opener.Open(cookie.Jar{c.Cookie}, stack.Cookie)
			if c.Remember {
				if !errors.Is(err, cookie.ErrNoCookie) || !strings.Contains(err.Error(), "needs the application's database") {
					t.Errorf("Open = %v, want ErrNoCookie that names the application's database", err)
				}
				return
			}
			if err == nil {
				err = stack.Keyspace.ID.Check(opened.ID)
			}
			switch {
			case c.Accepted && (err != nil || opened.ID != c.ID):
				t.Errorf("refused (%v), Laravel accepts it", err)
			case c.Adopted && (err != nil || opened.ID == c.ID):
				t.Errorf("refused (%v), Laravel makes a session of it", err)
			case !c.Accepted && !c.Adopted && err == nil && opened.ID == c.ID:
				t.Error("accepted, Laravel refuses it")
			}
			if err != nil {
				for _, value := range cookieValues(c.Cookie) {
					if strings.Contains(err.Error(), value) {
						t.Errorf("the error holds the cookie: %v", err)
					}
				}
			}
		})
	}
}

func TestLaravelKeys(t *testing.T) {
	raw16, raw32 := strings.Repeat("k", 16), strings.Repeat("k", 32)
	b64 := func(s string) string { return "base64:" + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name   string
		cipher string
		keys   []string
		want   string // part of the error; empty: none
	}{
		{"32 bytes", "", []string{b64(raw32)}, ""},
		{"16 bytes", "", []string{b64(raw16)}, ""},
		{"raw", "", []string{raw32}, ""},
		{"previous", "AES-256-CBC", []string{b64(raw32), raw32}, ""},
		{"the cipher in lower case", "aes-128-gcm", []string{b64(raw16)}, ""},
		{"without padding", "", []string{strings.TrimRight(b64(raw16), "=")}, ""},
		{"none", "", []string{""}, "no APP_KEY"},
		{"the prefix alone", "", []string{"base64:"}, "no APP_KEY"},
		{"base64 without its prefix", "", []string{b64(raw32)[7:]}, "base64:"},
		{"in quotes", "", []string{`"` + b64(raw32) + `"`}, "without quotes"},
		{"cut off", "", []string{b64(raw32)[:30]}, "16 or 32 bytes"},
		{"two lengths", "", []string{raw32, raw16}, "another 32"},
		{"an empty previous key", "", []string{raw32, ""}, "no APP_KEY"},
		{"too short for the cipher", "AES-256-CBC", []string{raw16}, "AES-256-CBC takes an APP_KEY of 32 bytes"},
		{"no such cipher", "AES-256", []string{raw32}, "AES-256-CBC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := cookie.NewLaravelEncrypter(c.keys[0], c.keys[1:]...)
			e.Cipher = c.cipher
			err := cookie.LaravelEncrypted(e).Validate()
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("Validate = %v, want something with %q", err, c.want)
			}
		})
	}
	var none *cookie.LaravelEncrypter
	if cookie.LaravelEncrypted(none).Validate() == nil {
		t.Error("no encrypter passes Validate")
	}
}

func TestLaravelGuard(t *testing.T) {
	class := sha1.Sum([]byte(`Illuminate\Auth\SessionGuard`))
	for name, want := range map[string]string{"web": "login_web_", "admin": "login_admin_", "a.b": `login_a\.b_`} {
		if got := cookie.LaravelGuard(name); got != want+hex.EncodeToString(class[:]) {
			t.Errorf("LaravelGuard(%q) = %q", name, got)
		}
	}
}

const laravelKey = "0123456789abcdef0123456789abcdef"

// sealLaravel makes a payload as Laravel's Encrypter does.
func sealLaravel(key, text string) string {
	iv := []byte("sixteen bytes iv")
	n := aes.BlockSize - len(text)%aes.BlockSize
	padded := []byte(text + strings.Repeat(string(rune(n)), n))
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		panic(err)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return payloadCBC(key, base64.StdEncoding.EncodeToString(iv), base64.StdEncoding.EncodeToString(padded), `"tag":""`)
}

func payloadCBC(key, iv, value, more string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(iv + value))
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"iv":"%s","value":"%s","mac":"%x",%s}`, iv, value, mac.Sum(nil), more))
}

// laravelCookie makes a cookie as EncryptCookies does.
func laravelCookie(name, value string) string {
	prefix := hmac.New(sha1.New, []byte(laravelKey))
	prefix.Write([]byte(name + "v2"))
	return name + "=" + url.QueryEscape(sealLaravel(laravelKey, hex.EncodeToString(prefix.Sum(nil))+"|"+value))
}

// What a payload may look like, by what PHP's base64_decode, json_decode,
// isset and empty make of it.
func TestLaravelPayloads(t *testing.T) {
	e := cookie.NewLaravelEncrypter(laravelKey)
	iv := base64.StdEncoding.EncodeToString([]byte("sixteen bytes iv"))
	var value string
	{
		padded := []byte("hello\v\v\v\v\v\v\v\v\v\v\v")
		block, _ := aes.NewCipher([]byte(laravelKey))
		cipher.NewCBCEncrypter(block, []byte("sixteen bytes iv")).CryptBlocks(padded, padded)
		value = base64.StdEncoding.EncodeToString(padded)
	}
	for _, c := range []struct {
		name, payload string
		opens         bool
	}{
		{"as Laravel writes it", payloadCBC(laravelKey, iv, value, `"tag":""`), true},
		{"no tag", payloadCBC(laravelKey, iv, value, `"x":1`), true},
		{"tag null", payloadCBC(laravelKey, iv, value, `"tag":null`), true},
		{"tag 0, which is empty to PHP", payloadCBC(laravelKey, iv, value, `"tag":"0"`), true},
		{"a tag", payloadCBC(laravelKey, iv, value, `"tag":"00"`), false},
		{"a tag of no base64", payloadCBC(laravelKey, iv, value, `"tag":"!"`), false},
		{"tag false", payloadCBC(laravelKey, iv, value, `"tag":false`), false},
		{"a tag of 16 bytes", payloadCBC(laravelKey, iv, value, `"tag":"`+iv+`"`), false},
		{"white space in iv", payloadCBC(laravelKey, iv[:4]+" "+iv[4:], value, `"tag":""`), true},
		{"iv without padding", payloadCBC(laravelKey, strings.TrimRight(iv, "="), value, `"tag":""`), true},
		{"half the padding of iv", payloadCBC(laravelKey, strings.TrimSuffix(iv, "="), value, `"tag":""`), false},
		{"a dot in iv", payloadCBC(laravelKey, iv[:4]+"."+iv[4:], value, `"tag":""`), false},
		{"a dot in value", payloadCBC(laravelKey, iv, value[:4]+"."+value[4:], `"tag":""`), true},
		{"value without padding", payloadCBC(laravelKey, iv, strings.TrimRight(value, "="), `"tag":""`), true},
		{"value cut off", payloadCBC(laravelKey, iv, value[:12], `"tag":""`), false},
		{"value empty", payloadCBC(laravelKey, iv, "", `"tag":""`), false},
		{"mac twice, the last counts", payloadCBC(laravelKey, iv, value, `"mac":""`), false},
		{"iv twice, the last counts", payloadCBC(laravelKey, iv, value, `"iv":""`), false},
		{"mac null", payloadCBC(laravelKey, iv, value, `"mac":null`), false},
		{"names in capitals", payloadCBC(laravelKey, iv, value, `"MAC":"","IV":1`), true},
		{"escapes", payloadCBC(laravelKey, iv, value, `"t\u0061g":""`), true},
		{"an escaped tag", payloadCBC(laravelKey, iv, value, `"t\u0061g":"AAAA"`), false},
		{"a number that no float64 holds", payloadCBC(laravelKey, iv, value, `"x":1e999`), true},
		{"a pair of surrogates", payloadCBC(laravelKey, iv, value, `"x":"\ud83d\ude00"`), true},
		{"half a pair of surrogates", payloadCBC(laravelKey, iv, value, `"x":"\ud83d"`), false},
		{"the other half", payloadCBC(laravelKey, iv, value, `"x":"\uDE00"`), false},
		{"a high half, then no escape", payloadCBC(laravelKey, iv, value, `"x":"\uD83Dabcdefgh"`), false},
		{"an escaped backslash, then no escape", payloadCBC(laravelKey, iv, value, `"x":"\\ud83d"`), true},
		{"not UTF-8", payloadCBC(laravelKey, iv, value, "\"x\":\"\xff\""), false},
		{"512 levels", payloadCBC(laravelKey, iv, value, `"x":`+strings.Repeat("[", 511)+strings.Repeat("]", 511)), true},
		{"513 levels", payloadCBC(laravelKey, iv, value, `"x":`+strings.Repeat("[", 512)+strings.Repeat("]", 512)), false},
		{"brackets in a string", payloadCBC(laravelKey, iv, value, `"x":"`+strings.Repeat("[", 600)+`"`), true},
		{"JSON cut off", base64.StdEncoding.EncodeToString([]byte(`{"iv":"`)), false},
		{"a list", base64.StdEncoding.EncodeToString([]byte(`["iv","value","mac"]`)), false},
		{"null", base64.StdEncoding.EncodeToString([]byte(`null`)), false},
		{"bytes behind the JSON", base64.StdEncoding.EncodeToString([]byte(`{}{}`)), false},
		{"empty", "", false},
		{"another key", payloadCBC(strings.ToUpper(laravelKey), iv, value, `"tag":""`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := e.Decrypt(c.payload)
			if c.opens && (err != nil || string(text) != "hello") {
				t.Errorf("Decrypt = %q, %v", text, err)
			}
			if !c.opens && err == nil {
				t.Errorf("Decrypt = %q, want an error", text)
			}
		})
	}
}

// Every byte of the padding counts, as it does to OpenSSL.
func TestLaravelPadding(t *testing.T) {
	e := cookie.NewLaravelEncrypter(laravelKey)
	iv := []byte("sixteen bytes iv")
	block, _ := aes.NewCipher([]byte(laravelKey))
	for _, c := range []struct {
		text  string
		opens bool
	}{
		{"hello, you there\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10", true},
		{"hello, you ther\x01", true},
		{"hello, you ther\x00", false},
		{"hello, you ther\x11", false},
		{"hello, you th\x02\x03\x03", false},
		{"hello, you ther\x02", false},
	} {
		sealed := []byte(c.text)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
		b64 := base64.StdEncoding.EncodeToString
		if text, err := e.Decrypt(payloadCBC(laravelKey, b64(iv), b64(sealed), `"tag":""`)); (err == nil) != c.opens {
			t.Errorf("%q: Decrypt = %q, %v", c.text, text, err)
		}
	}
}

func TestLaravelCookieDriver(t *testing.T) {
	const id = "abcdefghijklmnopqrstabcdefghijklmnopqrst"
	stack := cookie.LaravelCookieDriver(laravelKey)
	session := laravelCookie(id, `{"data":"a:1:{s:50:\"login_web_59ba36addc2b2f9401580f014c7f58ea4e30989d\";i:7;}","expires":1795345200}`)
	name := laravelCookie("laravel_session", id)
	for _, c := range []struct {
		name   string
		cookie string
		want   error // nil: user 7
	}{
		{"both", name + "; " + session, nil},
		{"the other order", session + ";" + name, nil},
		{"the session alone", session, cookie.ErrNoCookie},
		{"the id alone", name, cookie.ErrNoCookie},
		{"the session was deleted", name + "; " + id + "=deleted", cookie.ErrNoCookie},
		{"an id that Laravel takes for none", laravelCookie("laravel_session", id+"x") + "; " + laravelCookie(id+"x", "{}"), stores.ErrBadID},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				phpLogin{Cookie: c.cookie, ID: id, User: "7"}.walk(t, stack)
				return
			}
			if _, err := stack.Opener.Open(cookie.Jar{c.cookie}, stack.Cookie); !errors.Is(err, c.want) {
				t.Errorf("Open = %v, want %v", err, c.want)
			}
		})
	}
	t.Run("another session's", func(t *testing.T) {
		other := strings.Replace(session, id, strings.ToUpper(id), 1)
		both := laravelCookie("laravel_session", strings.ToUpper(id)) + "; " + other
		if _, err := stack.Opener.Open(cookie.Jar{both}, stack.Cookie); err == nil || errors.Is(err, cookie.ErrNoCookie) {
			t.Errorf("Open = %v, want a refusal", err)
		}
	})
	if _, err := cookie.New(nil, stack); err != nil {
		t.Errorf("New without a store: %v", err)
	}
}

func TestLaravelRememberMe(t *testing.T) {
	const name = "remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d"
	for header, want := range map[string]bool{
		name + "=x":                        true,
		"a=b; " + name + "=x":              true,
		"laravel_session=; " + name + "=x": true,
		strings.Replace(name, "web", "two_words", 1) + "=x": true,
		name + "=":                false,
		name[:len(name)-1] + "=x": false,
		"remember_me=1":           false,
		"x" + name + "=x":         false,
		"":                        false,
	} {
		_, err := cookie.Laravel(laravelKey).Opener.Open(cookie.Jar{header}, "laravel_session")
		if !errors.Is(err, cookie.ErrNoCookie) || strings.Contains(err.Error(), "database") != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}
