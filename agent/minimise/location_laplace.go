package minimise

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/agent/policy"
)

// noise exchanges a cell for one that is drawn near it: planar Laplace noise (Andres, Bordenabe, Chatzikokolakis, Palamidessi:
// Geo-indistinguishability, 2013). Two places at a distance d give the same result with probabilities that differ by a factor of
// exp(epsilon d) at most; epsilon is ln 4 over the policy's radius.
//
// Every further independent draw adds its epsilon, so there is one draw for each cell, made by a PRF of the secret: it is the same
// after a restart and under a new consent, with nothing stored. The draws are counted, and when the policy's budget is
// spent no cell is told that was not drawn before.
type noise struct {
	mac   hash.Hash
	drawn map[s2.CellID]s2.CellID
	spent uint64
}

// laplace95 is epsilon times the length that 95 % of draws stay below.
const laplace95 = 4.744

// laplaceScale returns 1/epsilon in metres for a policy's radius.
func laplaceScale(radius int) float64 { return float64(radius) / math.Log(4) }

func newNoise(secret []byte) (noise, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "scruple/location/laplace/1", sha256.Size)
	if err != nil {
		return noise{}, fmt.Errorf("minimise location: %w", err)
	}
	defer clear(key)
	return noise{mac: hmac.New(sha256.New, key), drawn: map[s2.CellID]s2.CellID{}}, nil
}

// Spent returns how many draws of the policy's LaplaceDraws are used up. The caller keeps it where it survives, and shows it.
func (l *Location) Spent() uint64 { return l.noise.spent }

// Resume takes up a count that Spent gave in an earlier life. Cells that were drawn then count once more when they are met again:
// which they were is not kept anywhere.
func (l *Location) Resume(spent uint64) { l.noise.spent = max(l.noise.spent, spent) }

// draw returns the cell to tell for a cell; none when the budget is spent.
func (n *noise) draw(c s2.CellID, rule policy.Minimiser) (s2.CellID, bool) {
	if out, ok := n.drawn[c]; ok {
		return out, true
	}
	if n.spent >= uint64(max(0, rule.LaplaceDraws)) {
		return 0, false
	}
	n.spent++
	out := n.fresh(c, laplaceScale(rule.LaplaceRadius))
	n.drawn[c] = out
	return out, true
}

// fresh draws for a cell, with a scale of 1/epsilon metres. It is a function of the secret, the cell and the scale.
func (n *noise) fresh(c s2.CellID, scale float64) s2.CellID {
	var in [2 * 8]byte
	binary.BigEndian.PutUint64(in[:], uint64(c))
	binary.BigEndian.PutUint64(in[8:], math.Float64bits(scale))
	var out [sha256.Size]byte
	n.mac.Reset()
	n.mac.Write(in[:])
	b := n.mac.Sum(out[:0])
	uniform := func(b []byte) float64 { return float64(binary.BigEndian.Uint64(b)>>11) / (1 << 53) }
	sin, cos := math.Sincos(2 * math.Pi * uniform(b))
	r := min(laplaceLength(uniform(b[8:]))*scale/earthRadius, math.Pi)
	centre := c.Point()
	x := s2.Ortho(centre)
	y := centre.Cross(x.Vector)
	along := x.Mul(cos).Add(y.Mul(sin))
	p := s2.Point{Vector: centre.Mul(math.Cos(r)).Add(along.Mul(math.Sin(r))).Normalize()}
	return s2.CellFromPoint(p).ID().Parent(c.Level())
}

// laplaceLength returns the length, in units of 1/epsilon, below which a draw stays with probability p: the x for which
// 1 - (1 + x) exp(-x) is p.
func laplaceLength(p float64) float64 {
	low, high := 0.0, 64.0
	for range 64 {
		x := (low + high) / 2
		if 1-(1+x)*math.Exp(-x) < p {
			low = x
		} else {
			high = x
		}
	}
	return low
}
