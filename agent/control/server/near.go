package server

import (
	"cmp"
	"slices"
	"strings"
)

const maxNear = 5

// near returns up to maxNear of names that a person may have meant by name, nearest first: those of the same
// category or purpose, then those few typing errors away.
func near(name string, names []string) []string {
	if len(name) > 128 { // no name is that long, and the distance costs its square
		return nil
	}
	type scored struct {
		name  string
		score int
	}
	var list []scored
	category, purpose, _ := strings.Cut(name, "/")
	for _, n := range names {
		c, p, _ := strings.Cut(n, "/")
		score := distance(name, n)
		if near := min(distance(category, c), distance(purpose, p)+1); near <= 2 {
			score = min(score, 4+near)
		}
		if score <= 6 && score < len(n)/2+1 {
			list = append(list, scored{n, score})
		}
	}
	slices.SortStableFunc(list, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	var out []string
	for _, s := range list[:min(len(list), maxNear)] {
		out = append(out, s.name)
	}
	return out
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}
