package location

import (
	"context"
	"net"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
)

// OpenEvery is Open with another shortest time between fixes.
func OpenEvery(ctx context.Context, p consent.Permit, from Sources, every time.Duration) (*Source, error) {
	return open(ctx, p, from.openers(), every)
}

// OpenDial is OpenEvery with a gpsd behind a function.
func OpenDial(ctx context.Context, p consent.Permit, dial func(context.Context) (net.Conn, error), every time.Duration) (*Source, error) {
	return open(ctx, p, []named{{"gpsd", gpsdOver(dial)}}, every)
}

// OpenClue is OpenEvery with the GeoClue of the bus at address.
func OpenClue(ctx context.Context, p consent.Permit, address string, every time.Duration) (*Source, error) {
	return open(ctx, p, []named{{"GeoClue", geoclue(address)}}, every)
}
