package uploader

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// maxEpoch is the largest epoch descriptor in bytes that is read; an honest one has about 70.
const maxEpoch = keyring.MaxEpoch

// Epoch returns the contacts epoch in force: the one sealed in the key ring while it is valid, otherwise a new one from the
// controller, over the consent's own connection, which is then sealed there. The key in it goes with the consent.
func (u *Uploader) Epoch(ctx context.Context, id wire.UUID) (wire.Epoch, error) {
	e, err := u.epoch(ctx, id)
	if err != nil {
		return wire.Epoch{}, fmt.Errorf("contacts epoch: %w", err)
	}
	return e, nil
}

func (u *Uploader) epoch(ctx context.Context, id wire.UUID) (wire.Epoch, error) {
	if err := u.o.Register.InForce(id); err != nil {
		return wire.Epoch{}, err
	}
	if sealed, err := u.o.Ring.Epoch(id); err == nil {
		if e, err := wire.DecodeEpoch(sealed); err == nil && inEpoch(e, u.latest()) {
			return e, nil
		}
	}
	tuple, ok := u.tupleOf(id)
	if !ok {
		return wire.Epoch{}, fmt.Errorf("consent %s: %w", id, keyring.ErrNoKey)
	}
	if !u.o.Register.Introduced(id) {
		if err := u.introduce(ctx, id, tuple.Controller, tuple); err != nil {
			return wire.Epoch{}, err
		}
	}
	c, err := u.client(tuple.Controller, id)
	if err != nil {
		return wire.Epoch{}, err
	}
	defer c.close()
	if err := u.compare(ctx, c, id); err != nil {
		return wire.Epoch{}, err
	}
	return u.fetchEpoch(ctx, c, id)
}

func inEpoch(e wire.Epoch, now time.Time) bool {
	return e.NotBefore <= now.Unix() && now.Unix() < e.NotAfter
}

func (u *Uploader) fetchEpoch(ctx context.Context, c *client, id wire.UUID) (wire.Epoch, error) {
	ctx, cancel := u.o.Register.Context(ctx, id)
	defer cancel()
	a, err := c.do(ctx, http.MethodGet, "/v1/contacts/epoch", nil, "", max(maxEpoch, wire.MaxReceipt))
	if err != nil {
		return wire.Epoch{}, err
	}
	defer clear(a.body)
	e, err := wire.DecodeEpoch(a.body)
	if err != nil {
		return wire.Epoch{}, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	if !inEpoch(e, u.latest()) {
		return wire.Epoch{}, fmt.Errorf("%w: the epoch is not in force", ErrGarbage)
	}
	return e, u.o.Ring.SetEpoch(id, a.body)
}

// RemoteData returns what the controller says that it holds about a consent's pseudonym: JSON, as it came, at most 64 MiB. It
// needs the identity but no consent in force: the right of access does not end with it.
func (u *Uploader) RemoteData(ctx context.Context, id wire.UUID) ([]byte, error) {
	data, err := u.remoteData(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("data at the controller: %w", err)
	}
	return data, nil
}

func (u *Uploader) remoteData(ctx context.Context, id wire.UUID) ([]byte, error) {
	tuple, ok := u.tupleOf(id)
	if !ok {
		return nil, fmt.Errorf("consent %s: %w", id, keyring.ErrNoKey)
	}
	c, err := u.client(tuple.Controller, id)
	if err != nil {
		return nil, err
	}
	defer c.close()
	// What the controller holds is shown whatever comes of the comparison.
	if err := u.compareNow(ctx, c, id); err != nil {
		u.o.Log.Warn("cannot compare the latest message with the controller's", zap.Stringer("tuple", tuple), zap.Error(err))
	}
	a, err := c.do(ctx, http.MethodGet, "/v1/data", nil, "", maxRemote)
	return a.body, err
}
