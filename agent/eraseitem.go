package agent

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
)

// eraseItemThere asks the controller of a tuple to erase one item, and returns the id of the request; "" where nothing is
// asked.
func (a *Agent) eraseItemThere(context.Context, server.Actor, policy.Tuple, string) (string, error) {
	return "", nil
}
