package minimise

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"

	"github.com/golang/geo/r3"
	"github.com/golang/geo/s2"
)

// offset is a secret field of displacements: a smooth map of the sphere to itself, one for each cell level, that moves
// each position by about four tenths of a cell's edge in a direction that only the secret tells.
//
// Why a field. Cells alone give a place away where two of them meet: someone who shows both is on the border between them. So
// the position is moved before its cell is taken; then all that any number of reports can give away, by averaging or by
// borders, is the displaced position. The displacement itself stays unknown, and it is as large as the error of one
// report of a plain cell (mean 0.38 edges for a uniform place in a square).
//
//   - The same place always has the same displacement, so repetition shows nothing: not in a second session, not under
//     a new consent. Nothing about places has to be stored for that, only the secret.
//   - Places far apart have independent ones, so whoever knows one place of a person learns nothing of the others.
//   - It is smooth, so there is no border where one displacement gives way to another and both could be seen. A grid of
//     places, each with an offset of its own, has such borders.
//   - Each level has a field of its own. If two were multiples of one another, two displaced positions of one place
//     would give away the place.
//
// Construction: a cubic grid through space, with four cell edges between knots. Each knot has a random vector (a PRF of level
// and knot). Inside a cube the vectors of the eight corners are added with trilinear weights; dividing by the
// norm of the weights keeps the variance the same everywhere. The part along the sphere, times sigma edges, is the
// displacement.
type offset struct {
	mac   hash.Hash
	cube  cube // of the last position
	knots [8]r3.Vector
}

// cube names a cube of the grid of a level.
type cube struct {
	level   int
	x, y, z int64
	known   bool
}

const (
	// sigma is the standard deviation of the displacement along each of the two directions, in mean edges of the level. The
	// mean length, sigma * sqrt(pi/2), is 0.43 mean edges, and 0.38 edges of the largest cells of a level.
	sigma = 0.34
	// knotEdges is the distance of two knots in edges. Nearer knots would bend a person's ways more (neighbouring
	// displacements differ by a tenth of the distance), farther ones let a place that is known say more about others.
	knotEdges = 4
)

func newOffset(secret []byte) (*offset, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "scruple/location/offset/1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("minimise location: %w", err)
	}
	defer clear(key)
	return &offset{mac: hmac.New(sha256.New, key)}, nil
}

// meanEdge returns the mean edge of the cells of a level as an angle in radians: the square root of the sphere over
// 6 * 4^level cells.
func meanEdge(level int) float64 {
	return math.Sqrt(4*math.Pi/6) / float64(uint64(1)<<level)
}

// displace returns where a position is taken to be for cells of a level.
func (o *offset) displace(p s2.Point, level int) s2.Point {
	e := meanEdge(level)
	v := o.field(p.Vector, level, knotEdges*e)
	v = v.Sub(p.Mul(v.Dot(p.Vector))) // along the sphere
	return s2.Point{Vector: p.Add(v.Mul(sigma * e)).Normalize()}
}

// field returns a vector whose components have mean 0 and variance 1 over all secrets.
func (o *offset) field(p r3.Vector, level int, knot float64) r3.Vector {
	x, fx := split(p.X / knot)
	y, fy := split(p.Y / knot)
	z, fz := split(p.Z / knot)
	if here := (cube{level, x, y, z, true}); o.cube != here {
		for corner := range int64(8) {
			o.knots[corner] = o.knot(level, x+corner&1, y+corner>>1&1, z+corner>>2)
		}
		o.cube = here
	}
	var sum r3.Vector
	var squares float64
	for corner, v := range o.knots {
		w := weight(fx, corner&1) * weight(fy, corner>>1&1) * weight(fz, corner>>2)
		squares += w * w
		sum = sum.Add(v.Mul(w))
	}
	return sum.Mul(1 / math.Sqrt(squares))
}

func split(v float64) (whole int64, part float64) {
	f := math.Floor(v)
	return int64(f), v - f
}

func weight(part float64, far int) float64 {
	if far == 1 {
		return part
	}
	return 1 - part
}

// knot returns the vector of a knot: each component uniform with variance 1.
func (o *offset) knot(level int, x, y, z int64) r3.Vector {
	var in [4 * 8]byte
	for i, v := range [...]int64{int64(level), x, y, z} {
		binary.BigEndian.PutUint64(in[8*i:], uint64(v))
	}
	var out [sha256.Size]byte
	o.mac.Reset()
	o.mac.Write(in[:])
	b := o.mac.Sum(out[:0])
	uniform := func(b []byte) float64 { // on [-sqrt(3), sqrt(3))
		return (float64(binary.BigEndian.Uint64(b)>>11)/(1<<52) - 1) * math.Sqrt(3)
	}
	return r3.Vector{X: uniform(b), Y: uniform(b[8:]), Z: uniform(b[16:])}
}
