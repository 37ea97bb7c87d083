package receiver_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// files returns every byte in a folder, by path.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantNowhere(t *testing.T, dir string, what string, values ...[]byte) {
	t.Helper()
	for path, data := range files(t, dir) {
		for _, v := range values {
			if bytes.Contains(data, v) {
				t.Errorf("%s holds %s", filepath.Base(path), what)
			}
		}
	}
}

// What a person sends is readable in no file at any time; and when the receipt of an erasure is there, neither the sealed
// body nor the sealed key is left in any file, so that not even the master key can bring it back.
func TestErasureLeavesNothing(t *testing.T) {
	for name, erase := range map[string]func(*receivertest.Client) wire.Receipt{
		"withdrawal with clear": func(c *receivertest.Client) wire.Receipt { return c.Withdraw(t, true) },
		"erasure":               func(c *receivertest.Client) wire.Receipt { return c.Erase(t) },
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.New(t, receivertest.Options{})
			c, other := r.Client(t, "device", "service"), r.Client(t, "device", "service")
			c.Give(t)
			other.Give(t)
			const batches = 8
			for i := range batches {
				c.Receipt(t, c.Send(t, device(r.Now(), fmt.Sprint(canary, i, strings.Repeat("x", 3000)))))
				other.Receipt(t, other.Send(t, device(r.Now(), "other")))
			}
			wantNowhere(t, r.Dir, "a value in the clear", []byte(canary))
			sealed := receiver.Sealed(t, r.Store, c.Consent)
			if len(sealed) != batches+1 {
				t.Fatalf("sealed values: got %d, want %d bodies and a key", len(sealed), batches)
			}
			found := 0
			for _, data := range files(t, r.Dir) {
				for _, s := range sealed {
					if bytes.Contains(data, s[:24]) {
						found++
					}
				}
			}
			if found < len(sealed) {
				t.Fatalf("sealed values found before the erasure: %d of %d; the search is of no use", found, len(sealed))
			}

			got := erase(c)
			if got.Kind != wire.ReceiptErasure || got.Erased != batches {
				t.Errorf("receipt: got %s erased %d, want erasure erased %d", got.Kind, got.Erased, batches)
			}
			var pieces [][]byte
			for _, s := range sealed {
				pieces = slices.AppendSeq(pieces, slices.Chunk(s[:len(s)/24*24], 24))
			}
			wantNowhere(t, r.Dir, "a piece of what was erased", pieces...)
			if n := len(r.Stored(t, other.Consent)); n != batches {
				t.Errorf("another's batches: got %d, want %d", n, batches)
			}
		})
	}
}

// After an erasure the consent goes on, under a new key.
func TestErasureThenMore(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	c.Receipt(t, c.Send(t, steps(r.Now(), 1)))
	c.Erase(t)
	c.Receipt(t, c.Send(t, steps(r.Now(), 2)))
	got := r.Stored(t, c.Consent)
	if len(got) != 1 || got[0].Batch.Items[0].Fields["total"] != int64(2) {
		t.Errorf("got %d batches, want the one sent after the erasure", len(got))
	}
}

func TestAddressIsNeverStored(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	var local []string
	c.HTTP.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			local = append(local, conn.LocalAddr().String())
		}
		return conn, err
	}
	c.Give(t)
	c.Receipt(t, c.Send(t, steps(r.Now(), 1)))
	c.Send(t, device(r.Now(), "refused"))
	c.Do(t.Context(), http.MethodGet, "/v1/data", nil, "")
	c.Withdraw(t, true)
	if len(local) == 0 {
		t.Fatal("no connection was seen")
	}
	for _, address := range local {
		_, port, _ := strings.Cut(address, ":")
		for path, data := range files(t, r.Dir) {
			if !strings.HasSuffix(path, ".db") && !strings.Contains(path, ".db-") {
				continue // the policy and the address file hold the receiver's own
			}
			if bytes.Contains(data, []byte("127.0.0.1")) || bytes.Contains(data, []byte(port)) {
				t.Errorf("%s holds the peer's address", filepath.Base(path))
			}
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	public := map[string]bool{receiver.PolicyNote: true, receiver.PolicyKey: true, receiver.PolicyYAML: true, receiver.AddressFile: true}
	for path := range files(t, r.Dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(path); !public[name] && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode().Perm())
		}
	}
}

// A receiver that starts again in its folder is the same one: same address, keys and policy, and everything it holds.
func TestRestart(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	b, body := c.Batch(t, steps(r.Now(), 1))
	first := c.PutBatch(t, b.ID, body)
	before := [3]string{r.Address, r.Key, string(r.Note)}
	r.Stop()
	r.Start(t)
	if after := [3]string{r.Address, r.Key, string(r.Note)}; after != before {
		t.Errorf("after a restart: address, policy key or policy differ")
	}
	if again := c.PutBatch(t, b.ID, body); !bytes.Equal(again.Body, first.Body) {
		t.Errorf("the same batch after a restart: got %d %q %v, want the same receipt", again.Status, again.Problem(), again.Err)
	}
	c.Receipt(t, c.Send(t, steps(r.Now(), 2)))
}

// Another process may look while the receiver serves.
func TestOpenTwice(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	second, err := receiver.Open(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 10 {
			if _, err := second.Batches(context.Background(), c.Consent, tester); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 10 {
		c.Receipt(t, c.Send(t, steps(r.Now(), int64(i))))
	}
	wg.Wait()
	got, err := second.Holdings(t.Context(), r.Now())
	if err != nil || len(got) != 1 || got[0].Batches != 10 {
		t.Errorf("got %+v %v, want 10 batches", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	made := func(t *testing.T) string {
		dir := t.TempDir()
		s, err := receiver.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, damage := range map[string]func(dir string) error{
		"no master key":    func(dir string) error { return os.Remove(filepath.Join(dir, "master.key")) },
		"short master key": func(dir string) error { return os.WriteFile(filepath.Join(dir, "master.key"), []byte("short"), 0o600) },
		"not a database": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "receiver.db"), bytes.Repeat([]byte("no database "), 1000), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := made(t)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			s, err := receiver.Open(dir)
			if err == nil {
				s.Close()
				t.Error("got a store, want an error")
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	var wg sync.WaitGroup
	clients := make([]*receivertest.Client, 6)
	for i := range clients {
		clients[i] = r.Client(t, "steps", "compare")
	}
	for _, c := range clients {
		consent := c.Sign(t, c.Message())
		wg.Go(func() {
			if a := c.Do(context.Background(), http.MethodPut, "/v1/consents/"+c.Consent.String(), consent, ""); a.Status != http.StatusOK {
				t.Errorf("consent: got %d %v", a.Status, a.Err)
				return
			}
			for j := range 8 {
				b, body := c.Batch(t, steps(time.Unix(0, 0), int64(j)))
				// The same batch over several connections at once, as after a lost answer.
				var same sync.WaitGroup
				for range 2 {
					same.Go(func() {
						if a := c.PutBatch(t, b.ID, body); a.Status != http.StatusOK {
							t.Errorf("batch: got %d %q %v", a.Status, a.Problem(), a.Err)
						}
					})
				}
				same.Wait()
			}
		})
	}
	wg.Wait()
	for _, h := range r.Holdings(t) {
		if h.Batches != 8 || h.Items != 8 {
			t.Errorf("got %d batches %d items, want each of the 8 once", h.Batches, h.Items)
		}
	}
}
