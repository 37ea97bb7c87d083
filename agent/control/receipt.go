package control

import (
	"context"
	"encoding/json"
	"time"
)

// ConsentReceipt is the person's copy of one consent record: what they agreed to, refused or took back. (What a
// controller signed is a Receipt.)
type ConsentReceipt struct {
	Tuple  string    `json:"tuple"`
	Event  string    `json:"event"` // a word of W3C DPV: given, withdrawn, refused, ...
	Time   time.Time `json:"time"`
	Record uint64    `json:"record"` // number of the record in its controller's ledger
	// Receipt is the whole receipt, which package receipt verifies; its layout does not matter.
	Receipt json.RawMessage `json:"receipt"`
}

// ConsentReceipts returns the receipts of everything that was recorded about a tuple, oldest first.
func (c *Client) ConsentReceipts(ctx context.Context, tuple string) ([]ConsentReceipt, error) {
	return get[[]ConsentReceipt](ctx, c, "/v1/receipts/consent/"+escape(tuple))
}
