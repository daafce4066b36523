package bridge

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frames are texts with what they are; they seed the fuzz target too.
var frames = map[string]struct {
	text string
	kind frameKind
	m    *Message
}{
	"rediskey":                      {`{"rediskey":"abc"}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "abc"}},
	"rediskey, white space":         {" \t\r\n{ \"rediskey\" : \"abc\" }\n", frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "abc"}},
	"rediskey, empty":               {`{"rediskey":""}`, frameAuthenticate, &Message{Kind: MessageRedisKey}},
	"rediskey and stack":            {`{"rediskey":"abc","stack":"php"}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "abc", Stack: "php"}},
	"rediskey, empty stack":         {`{"rediskey":"abc","stack":""}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "abc", Malformed: true}},
	"rediskey, stack a number":      {`{"rediskey":"abc","stack":1}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "abc", Malformed: true}},
	"rediskey a number":             {`{"rediskey":5}`, frameAuthenticate, &Message{Kind: MessageRedisKey, Malformed: true}},
	"rediskey null":                 {`{"rediskey":null}`, frameAuthenticate, &Message{Kind: MessageRedisKey, Malformed: true}},
	"rediskey an object":            {`{"rediskey":{"a":"b"}}`, frameAuthenticate, &Message{Kind: MessageRedisKey, Malformed: true}},
	"rediskey a list":               {`{"rediskey":["abc"]}`, frameAuthenticate, &Message{Kind: MessageRedisKey, Malformed: true}},
	"rediskey twice: the last":      {`{"rediskey":"a","rediskey":"b"}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "b"}},
	"rediskey twice: the last, bad": {`{"rediskey":"a","rediskey":5}`, frameAuthenticate, &Message{Kind: MessageRedisKey, Malformed: true}},
	"rediskey and an event":         {`{"event":"authenticate","data":{"token":"t"},"rediskey":"a"}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "a"}},
	"rediskey and more":             {`{"a":1,"rediskey":"a","b":{}}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "a"}},
	"rediskey with an escaped name": {`{"\u0072ediskey":"a"}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "a"}},
	"rediskey with escapes":         {`{"rediskey":"\u0061\"\n\u0000"}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "a\"\n\x00"}},
	"rediskey, not UTF-8":           {"{\"rediskey\":\"\xff\"}", frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "\ufffd"}},
	"Rediskey":                      {`{"Rediskey":"abc"}`, frameApplication, nil},
	"REDISKEY":                      {`{"REDISKEY":"abc"}`, frameApplication, nil},
	"redisKey":                      {`{"redisKey":"abc"}`, frameApplication, nil},
	"the Kelvin sign is no k":       {"{\"redis\u212aey\":\"abc\"}", frameApplication, nil},
	"rediskey within":               {`{"data":{"rediskey":"abc"}}`, frameApplication, nil},
	"rediskey in a list":            {`[{"rediskey":"abc"}]`, frameApplication, nil},
	"token":                         {`{"event":"authenticate","data":{"token":"abc"}}`, frameAuthenticate, &Message{Kind: MessageToken, Token: "abc"}},
	"token and more":                {`{"event":"authenticate","cid":1,"data":{"token":"abc","x":1}}`, frameAuthenticate, &Message{Kind: MessageToken, Token: "abc"}},
	"token twice: the last":         {`{"event":"authenticate","data":{"token":"a","token":"b"}}`, frameAuthenticate, &Message{Kind: MessageToken, Token: "b"}},
	"data twice: the last":          {`{"event":"authenticate","data":{"token":"a"},"data":{}}`, frameAuthenticate, &Message{Kind: MessageToken, Malformed: true}},
	"token a number":                {`{"event":"authenticate","data":{"token":5}}`, frameAuthenticate, &Message{Kind: MessageToken, Malformed: true}},
	"Token":                         {`{"event":"authenticate","data":{"Token":"a"}}`, frameAuthenticate, &Message{Kind: MessageToken, Malformed: true}},
	"data a string":                 {`{"event":"authenticate","data":"abc"}`, frameAuthenticate, &Message{Kind: MessageToken, Malformed: true}},
	"data null":                     {`{"event":"authenticate","data":null}`, frameAuthenticate, &Message{Kind: MessageToken, Malformed: true}},
	"no data":                       {`{"event":"authenticate"}`, frameAuthenticate, &Message{Kind: MessageToken, Malformed: true}},
	"event with an escape":          {`{"event":"authenticat\u0065","data":{"token":"a"}}`, frameAuthenticate, &Message{Kind: MessageToken, Token: "a"}},
	"Authenticate":                  {`{"event":"Authenticate","data":{"token":"abc"}}`, frameApplication, nil},
	"Event":                         {`{"Event":"authenticate","data":{"token":"abc"}}`, frameApplication, nil},
	"event twice: the last":         {`{"event":"authenticate","event":"hello"}`, frameApplication, nil},
	"event a list":                  {`{"event":["authenticate"]}`, frameApplication, nil},
	"event null":                    {`{"event":null}`, frameApplication, nil},
	"authenticated":                 {`{"event":"authenticated"}`, frameApplication, nil},
	"deauthenticate":                {`{"event":"deauthenticate"}`, frameDeauthenticate, nil},
	"deauthenticate with data":      {`{"event":"deauthenticate","data":{"token":"a"}}`, frameDeauthenticate, nil},
	"empty":                         {``, frameApplication, nil},
	"white space":                   {` `, frameApplication, nil},
	"empty object":                  {`{}`, frameApplication, nil},
	"text":                          {`rediskey`, frameApplication, nil},
	"a string":                      {`"rediskey"`, frameApplication, nil},
	"null":                          {`null`, frameApplication, nil},
	"cut off":                       {`{"rediskey":"abc"`, frameApplication, nil},
	"two objects":                   {`{"rediskey":"a"}{"rediskey":"b"}`, frameApplication, nil},
	"something behind":              {`{"rediskey":"a"} x`, frameApplication, nil},
	"a byte order mark":             {"\ufeff{\"rediskey\":\"a\"}", frameApplication, nil},
	"a comment":                     {`{/**/"rediskey":"a"}`, frameApplication, nil},
	"single quotes":                 {`{'rediskey':'a'}`, frameApplication, nil},
	"deep":                          {`{"rediskey":"a","x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + `}`, frameAuthenticate, &Message{Kind: MessageRedisKey, SessionID: "a"}},
	"a huge number":                 {`{"rediskey":1e999}`, frameAuthenticate, &Message{Kind: MessageRedisKey, Malformed: true}},
}

func TestParseFrame(t *testing.T) {
	for name, tt := range frames {
		t.Run(name, func(t *testing.T) {
			kind, m := parseFrame([]byte(tt.text))
			if diff := cmp.Diff(tt.m, m); kind != tt.kind || diff != "" {
				t.Errorf("kind %d, want %d; -want +got:\n%s", kind, tt.kind, diff)
			}
		})
	}
}

func FuzzParseFrame(f *testing.F) {
	if len(frames) == 0 {
		f.Fatal("no seeds: where have the frames gone?")
	}
	for _, tt := range frames {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		kind, m := parseFrame(p)
		wantKind, want := oracle(p)
		if diff := cmp.Diff(want, m); kind != wantKind || diff != "" {
			t.Errorf("kind %d, want %d; -want +got:\n%s", kind, wantKind, diff)
		}
		if kind != frameApplication && !mayBeFrame(p) {
			t.Error("the cheap test takes an authentication frame for the application's")
		}
	})
}

// oracle is parseFrame over a plain decoding into Go values.
func oracle(p []byte) (frameKind, *Message) {
	if !json.Valid(p) {
		return frameApplication, nil
	}
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber() // a number of any size is only a number
	var v any
	if d.Decode(&v) != nil {
		return frameApplication, nil
	}
	o, _ := v.(map[string]any)
	if id, ok := o["rediskey"]; ok {
		m := &Message{Kind: MessageRedisKey}
		m.SessionID, ok = id.(string)
		m.Malformed = !ok
		if stack, ok := o["stack"]; ok {
			m.Stack, _ = stack.(string)
			m.Malformed = m.Malformed || m.Stack == ""
		}
		return frameAuthenticate, m
	}
	switch o["event"] {
	case "authenticate":
		data, _ := o["data"].(map[string]any)
		token, ok := data["token"].(string)
		return frameAuthenticate, &Message{Kind: MessageToken, Token: token, Malformed: !ok}
	case "deauthenticate":
		return frameDeauthenticate, nil
	}
	return frameApplication, nil
}
