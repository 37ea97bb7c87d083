package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/scruple-agent/scruple/agent/control"
)

// maxBody is the largest body of a request, in bytes. The answers may be larger.
const maxBody = 1 << 20

// guard refuses what no client of this API sends: anything that a browser makes, another host, a body that is
// too large or not JSON. It returns the body.
func guard(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	refuse := func(detail string) error { return control.NewProblem(control.KindBadRequest, "", detail) }
	for _, header := range []string{"Origin", "Referer", "Sec-Fetch-Site"} {
		if r.Header.Get(header) != "" {
			return nil, control.NewProblem(control.KindNotAllowed, "", "a browser must not speak to this socket: header "+header)
		}
	}
	if host := strings.ToLower(r.Host); host != control.Host && host != "localhost" {
		return nil, refuse("the host is not " + control.Host)
	}
	if r.ContentLength > maxBody {
		return nil, refuse("the body is larger than 1 MiB")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse("the body is larger than 1 MiB")
	case err != nil:
		return nil, refuse("the body ended early")
	case len(body) == 0:
		return nil, nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, refuse("the body is not application/json")
	}
	return body, nil
}

// decode reads one JSON object strictly into the struct that v points to: no unknown key, no key twice or in
// another case, nothing after the end. No body is an empty object. Errors name keys, never values.
func decode(body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return control.NewProblem(control.KindBadRequest, "", fmt.Sprintf(format, args...))
	}
	known := map[string]bool{}
	for t, i := reflect.TypeOf(v).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return refuse("the body is not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		switch {
		case err != nil || !ok:
			return refuse("the body is not JSON")
		case !known[key]:
			return refuse("the body has a key that this request does not have")
		case seen[key]:
			return refuse("key %s: twice", key)
		}
		seen[key] = true
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			return refuse("key %s: not JSON", key)
		}
		if bytes.Equal(skip, []byte("null")) {
			return refuse("key %s: null", key)
		}
	}
	if _, err := d.Token(); err != nil {
		return refuse("the body is not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return refuse("the body has something after its end")
	}
	var typ *json.UnmarshalTypeError
	switch err := json.Unmarshal(body, v); {
	case errors.As(err, &typ):
		return refuse("key %s: of the wrong type", typ.Field)
	case err != nil:
		return refuse("the body is not JSON")
	}
	return nil
}
