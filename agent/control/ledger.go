package control

import "context"

// Ledger is one controller's consent ledger, read anew from the disk and checked.
type Ledger struct {
	Controller string `json:"controller"`
	Generation uint64 `json:"generation"` // more than 1 after a restart of a damaged one
	Origin     string `json:"origin,omitempty"`
	// Key is the note verifier key with which checkpoints and proofs are checked.
	Key        string `json:"key,omitempty"`
	Size       uint64 `json:"size"`       // records
	Root       string `json:"root"`       // tree head, hexadecimal; "" while there is none
	Readable   int    `json:"readable"`   // records whose body is readable
	Erased     int    `json:"erased"`     // records whose body is erased
	Waiting    int    `json:"waiting"`    // records that are not in the file yet
	Unsent     int    `json:"unsent"`     // messages without the controller's receipt
	Tombstones int    `json:"tombstones"` // of erased withdrawals and erasures
	// Checkpoint is the signed state, "" when Problem is set or nothing is recorded.
	Checkpoint string `json:"checkpoint,omitempty"`
	// Problem says why the ledger's consents do not count, "" when all is well.
	Problem string `json:"problem,omitempty"`
}

// LedgerProof is a proof about a ledger, in a format that package ledger checks.
type LedgerProof struct {
	Controller string `json:"controller"`
	Key        string `json:"key"`
	Proof      string `json:"proof"`
	// Readable says that a tlog-proof holds the record's statement, which is not so once its body is erased.
	Readable bool `json:"readable,omitempty"`
}

// LedgerCompared is what came of comparing a kept checkpoint or proof with the ledger.
type LedgerCompared struct {
	Controller string `json:"controller"`
	Origin     string `json:"origin"`
	KeptSize   uint64 `json:"kept_size"`
	Size       uint64 `json:"size"` // now
	Restarted  bool   `json:"restarted,omitempty"`
	// RolledBack says that the ledger is older than what was kept, or another one: every consent has been invalidated.
	RolledBack bool   `json:"rolled_back"`
	Problem    string `json:"problem,omitempty"`
}

// Bodies of requests about ledgers.
type (
	// LedgerProofRequest asks for the proof that a record is in a ledger.
	LedgerProofRequest struct {
		Controller string `json:"controller"`
		Record     uint64 `json:"record"`
	}
	// LedgerGrowthRequest asks for the proof that a ledger only grew since it had Old records.
	LedgerGrowthRequest struct {
		Controller string `json:"controller"`
		Old        uint64 `json:"old"`
	}
	// LedgerCompareRequest asks to compare a kept checkpoint or proof with the ledger it is about.
	LedgerCompareRequest struct {
		Kept string `json:"kept"`
	}
)

// Ledgers returns every ledger, checked.
func (c *Client) Ledgers(ctx context.Context) ([]Ledger, error) {
	return get[[]Ledger](ctx, c, "/v1/ledger")
}

// LedgerProof returns the proof that a record is in a controller's ledger.
func (c *Client) LedgerProof(ctx context.Context, controller string, record uint64) (LedgerProof, error) {
	return post[LedgerProof](ctx, c, "/v1/ledger/proof", LedgerProofRequest{controller, record})
}

// LedgerGrowth returns the proof that a controller's ledger only grew since it had old records.
func (c *Client) LedgerGrowth(ctx context.Context, controller string, old uint64) (LedgerProof, error) {
	return post[LedgerProof](ctx, c, "/v1/ledger/growth", LedgerGrowthRequest{controller, old})
}

// LedgerCompare compares a kept checkpoint or proof with the ledger it is about.
func (c *Client) LedgerCompare(ctx context.Context, kept string) (LedgerCompared, error) {
	return post[LedgerCompared](ctx, c, "/v1/ledger/compare", LedgerCompareRequest{kept})
}
