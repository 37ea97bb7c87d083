package minimise

import (
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors/device"
)

// Device keeps the kind of device and drops the rest: model, operating system, agent version, network type,
// address family, the sensors that are there. Time is to the hour.
func Device(p consent.Permit, s device.Sample, agentVersion string, now time.Time) (Report, error) {
	e, err := begin(p, policy.MinimiseDevice)
	if err != nil {
		return Report{}, err
	}
	return finish(p, e, hour(now), map[string]any{
		"model":          s.Model,
		"os":             s.OS,
		"os-version":     s.OSVersion,
		"agent-version":  agentVersion,
		"network":        s.Network,
		"address-family": s.AddressFamily,
		"sensors":        append([]string{}, s.Sensors...),
	})
}
