package keyring

import (
	"maps"
	"slices"
)

// Client is an application that the person has registered.
type Client struct {
	// Exe is the path of its program, "" where it is known by UID alone.
	Exe string `cbor:"1,keyasint,omitempty"`
	// UID is its account, or -1 for any.
	UID int `cbor:"2,keyasint"`
	// Since is when it was registered, in unix seconds.
	Since int64 `cbor:"3,keyasint"`
	// Access is what the person lets it do, by "category/purpose".
	Access map[string]ClientAccess `cbor:"4,keyasint,omitempty"`
}

// ClientAccess is the person's consent that an application uses one category for one purpose.
type ClientAccess struct {
	Since int64 `cbor:"1,keyasint"`
	// Until is when it ends by itself, in unix seconds.
	Until int64 `cbor:"2,keyasint"`
	// Level is the finest S2 cell that a location may be told as; 0 where there is none to tell.
	Level int `cbor:"3,keyasint,omitempty"`
}

func cloneClients(from map[string]*Client) map[string]*Client {
	to := make(map[string]*Client, len(from))
	for name, c := range from {
		n := *c
		n.Access = maps.Clone(c.Access)
		to[name] = &n
	}
	return to
}

func (s *State) cloneClients(from *State) {
	s.Clients = nil
	if from.Clients != nil {
		s.Clients = cloneClients(from.Clients)
	}
	s.ClientKey = slices.Clone(from.ClientKey)
}

// clientsOK reports whether the applications can be such.
func (s *State) clientsOK() bool {
	for name, c := range s.Clients {
		if name == "" || c == nil || c.UID < -1 || c.Exe == "" && c.UID < 0 {
			return false
		}
	}
	return len(s.ClientKey) == 0 || len(s.ClientKey) == KeySize
}
