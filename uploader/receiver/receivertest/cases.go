package receivertest

import (
	"net/http"
	"testing"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Case returns a case of a kind about everything that was sent under the consent.
func (c *Client) Case(kind wire.CaseKind) wire.Case {
	return wire.Case{
		ID: wire.NewUUID(), Consent: c.Consent, Controller: string(c.Effective.Controller.ID), Kind: kind,
		Category: string(c.Effective.Category.ID), Purpose: string(c.Effective.Purpose.ID), Time: c.r.Now().Unix(),
	}
}

// PutCase sends a signed case.
func (c *Client) PutCase(t testing.TB, m wire.Case) Answer {
	t.Helper()
	b, err := wire.SignCase(c.Identity, m)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(t.Context(), http.MethodPut, "/v1/cases/"+m.ID.String(), b, "")
}

// Ask sends a case and returns the answer to it; the test fails if there is none.
func (c *Client) Ask(t testing.TB, m wire.Case) wire.CaseAnswer {
	t.Helper()
	c.Receipt(t, c.PutCase(t, m))
	return c.CaseAnswer(t, m.ID)
}

// CaseAnswer fetches the answer to a case; the test fails if there is none.
func (c *Client) CaseAnswer(t testing.TB, id wire.UUID) wire.CaseAnswer {
	t.Helper()
	a := c.Do(t.Context(), http.MethodGet, "/v1/cases/"+id.String(), nil, "")
	answer, err := wire.OpenCaseAnswer(a.Body, c.Effective.Controller.Key)
	if a.Err != nil || err != nil {
		t.Fatalf("case: status %d, problem %q, %v, %v", a.Status, a.Problem(), a.Err, err)
	}
	return answer
}

// Fault answers the next request that begins with on with a bare status.
func Fault(on string, status int) receiver.Fault { return receiver.Fault{On: on, Status: status} }
