package main

import (
	"fmt"
	"io"
	"regexp/syntax"
	"slices"
	"strings"
)

// maxDepth bounds a pattern's length in digits. No numbering plan comes near;
// one that loops would.
const maxDepth = 32

// rows is a set of deterministic automata over the digits in one table. Equal
// states are one row whatever automaton they came from. Row 0 is the dead state.
type rows struct {
	list  []row
	index map[row]int
}

// row is a state: where each digit leads, and what the automaton says here, in
// the middle of the digits (now) and when they end here (end).
type row struct {
	next     [10]int
	now, end uint8
}

// action replaces a matched prefix by a literal and the digits [from, to) of
// the number.
type action struct {
	literal  string
	from, to int
}

func newRows() *rows {
	return &rows{list: []row{{}}, index: map[row]int{{}: 0}}
}

func (r *rows) add(s row) int {
	if i, ok := r.index[s]; ok {
		return i
	}
	r.list = append(r.list, s)
	r.index[s] = len(r.list) - 1
	return len(r.list) - 1
}

func compile(pattern string) (*syntax.Prog, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return syntax.Compile(re.Simplify())
}

// fullMatch adds the automaton that accepts (end = 1) exactly what pattern
// matches as a whole.
func (r *rows) fullMatch(pattern string) (int, error) {
	prog, err := compile(pattern)
	if err != nil {
		return 0, err
	}
	memo := make(map[string]int)
	var build func(kernel []uint32, depth int) (int, error)
	build = func(kernel []uint32, depth int) (int, error) {
		if depth > maxDepth {
			return 0, fmt.Errorf("longer than %d digits", maxDepth)
		}
		set, accept := make(map[uint32]bool), false
		var walk func(pc uint32) error
		walk = func(pc uint32) error {
			if set[pc] {
				return nil
			}
			set[pc] = true
			switch in := prog.Inst[pc]; in.Op {
			case syntax.InstAlt:
				if err := walk(in.Out); err != nil {
					return err
				}
				return walk(in.Arg)
			case syntax.InstCapture, syntax.InstNop:
				return walk(in.Out)
			case syntax.InstMatch:
				accept = true
			case syntax.InstEmptyWidth:
				return fmt.Errorf("assertion in %q", pattern)
			}
			return nil
		}
		for _, pc := range kernel {
			if err := walk(pc); err != nil {
				return 0, err
			}
		}
		var s row
		if accept {
			s.end = 1
		}
		for d := range 10 {
			var next []uint32
			for pc := range set {
				if in := &prog.Inst[pc]; consumes(in, d) {
					next = append(next, in.Out)
				}
			}
			if len(next) == 0 {
				continue
			}
			slices.Sort(next)
			next = slices.Compact(next)
			key := fmt.Sprint(next)
			n, ok := memo[key]
			if !ok {
				var err error
				if n, err = build(next, depth+1); err != nil {
					return 0, err
				}
				memo[key] = n
			}
			s.next[d] = n
		}
		return r.add(s), nil
	}
	return build([]uint32{uint32(prog.Start)}, 0)
}

func consumes(in *syntax.Inst, d int) bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return in.MatchRune('0' + rune(d))
	}
	return false
}

// thread is one way through a pattern: the instruction it waits at and where
// its groups begin and end (-1: not taken).
type thread struct {
	pc   uint32
	caps [6]int8
}

// leftmostFirst adds the automaton that finds the prefix a backtracking regular
// expression would take: threads are kept in order of preference and a match
// drops those after it, so the last action seen is the preferred one. Patterns
// are anchored and bounded, hence a group's place is known when a state is made.
func (r *rows) leftmostFirst(pattern, rule string, actions *[]action) (int, error) {
	prog, err := compile(pattern)
	if err != nil {
		return 0, err
	}
	groups := prog.NumCap/2 - 1
	if groups > 2 {
		return 0, fmt.Errorf("%d groups in %q", groups, pattern)
	}
	memo := make(map[string]int)
	var build func(kernel []thread, depth int) (int, error)
	build = func(kernel []thread, depth int) (int, error) {
		if depth > maxDepth {
			return 0, fmt.Errorf("longer than %d digits", maxDepth)
		}
		var s row
		waiting, match := closure(prog, kernel, depth, false)
		if s.now, err = actionOf(match, rule, groups, actions); err != nil {
			return 0, err
		}
		_, match = closure(prog, kernel, depth, true)
		if s.end, err = actionOf(match, rule, groups, actions); err != nil {
			return 0, err
		}
		for d := range 10 {
			var next []thread
			for _, t := range waiting {
				if in := &prog.Inst[t.pc]; consumes(in, d) {
					next = append(next, thread{in.Out, t.caps})
				}
			}
			if len(next) == 0 {
				continue
			}
			key := fmt.Sprint(depth, next)
			n, ok := memo[key]
			if !ok {
				if n, err = build(next, depth+1); err != nil {
					return 0, err
				}
				memo[key] = n
			}
			s.next[d] = n
		}
		return r.add(s), nil
	}
	start := thread{pc: uint32(prog.Start)}
	for i := range start.caps {
		start.caps[i] = -1
	}
	return build([]thread{start}, 0)
}

// closure follows everything that takes no digit. It returns the threads that
// wait for one, in order, and the match that cut the list off, if any.
func closure(prog *syntax.Prog, kernel []thread, depth int, atEnd bool) (waiting []thread, match *thread) {
	seen := make(map[uint32]bool)
	var walk func(t thread)
	walk = func(t thread) {
		if match != nil || seen[t.pc] {
			return
		}
		seen[t.pc] = true
		switch in := prog.Inst[t.pc]; in.Op {
		case syntax.InstAlt:
			walk(thread{in.Out, t.caps})
			walk(thread{in.Arg, t.caps})
		case syntax.InstNop:
			walk(thread{in.Out, t.caps})
		case syntax.InstCapture:
			if in.Arg >= 2 {
				t.caps[in.Arg-2] = int8(depth)
			}
			walk(thread{in.Out, t.caps})
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg) == syntax.EmptyEndText && atEnd {
				walk(thread{in.Out, t.caps})
			}
		case syntax.InstMatch:
			match = &t
		case syntax.InstFail:
		default:
			waiting = append(waiting, t)
		}
	}
	for _, t := range kernel {
		walk(t)
	}
	return waiting, match
}

// actionOf says what a match does: 0 no match, 1 cut it off, else the index of
// the rule's action. The rule applies only if the last group took something.
func actionOf(match *thread, rule string, groups int, actions *[]action) (uint8, error) {
	if match == nil {
		return 0, nil
	}
	if rule == "" || groups == 0 {
		return 1, nil
	}
	last := 2 * (groups - 1)
	if match.caps[last] < 0 || match.caps[last] == match.caps[last+1] {
		return 1, nil
	}
	literal, ref, ok := strings.Cut(rule, "$")
	if !ok || len(ref) != 1 || ref[0] < '1' || int(ref[0]-'0') > groups {
		return 0, fmt.Errorf("transform rule %q", rule)
	}
	g := 2 * int(ref[0]-'1')
	a := action{literal: literal}
	if match.caps[g] >= 0 {
		a.from, a.to = int(match.caps[g]), int(match.caps[g+1])
	}
	i := slices.Index((*actions)[2:], a)
	if i < 0 {
		i = len(*actions) - 2
		*actions = append(*actions, a)
	}
	return uint8(i + 2), nil
}

// write emits the table. A state is the offset of its row, so that a step is one
// addition and one load.
func (r *rows) write(w io.Writer, name, what string) {
	fmt.Fprintf(w, "// %sNext is the transition table of %s: the state after digit d in state s is %sNext[s+d].\nvar %sNext = [...]uint16{\n", name, what, name, name)
	now, end := make([]byte, 0, len(r.list)), make([]byte, 0, len(r.list))
	for _, s := range r.list {
		for _, n := range s.next {
			fmt.Fprintf(w, "%d, ", n*10)
		}
		fmt.Fprintln(w)
		now, end = append(now, s.now), append(end, s.end)
	}
	fmt.Fprint(w, "}\n\n")
	if slices.Max(now) > 0 {
		fmt.Fprintf(w, "// %sNow is the action in state s*10 while digits follow.\nconst %sNow = \"\" +\n%s\n", name, name, quoted(now, 40))
	}
	fmt.Fprintf(w, "// %sEnd is the action in state s*10 when the digits end.\nconst %sEnd = \"\" +\n%s\n", name, name, quoted(end, 40))
}
