package booktest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

type name struct {
	given, family string
	latin         string // for addresses
	eastern       bool   // the family's name comes first
}

func (n name) full() string {
	if n.eastern {
		return n.family + n.given
	}
	return n.given + " " + n.family
}

var (
	westGiven  = []string{"Ada", "Bruno", "Clara", "Dmitri", "Edda", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karla", "Linus", "Mona", "Nils", "Olga", "Piet", "Rosa", "Sören", "Tove", "Ursula", "Vera", "Willem", "Xenia", "Yusuf", "Zoë", "Héloïse"}
	westFamily = []string{"Ackermann", "Brandt", "Çelik", "Dahl", "Eriksson", "Fiala", "Großmann", "Hassan", "Ivanova", "Jensen", "Kovač", "Lindqvist", "Müller", "Núñez", "Okafor", "Petrov", "Quist", "Rossi", "Schäfer", "Tanaka", "Ueda", "Vogel", "Weiß", "Young", "Zimmermann"}
	eastGiven  = []string{"伟", "芳", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "秀兰", "霞", "平"}
	eastFamily = []string{"王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "何", "郭", "马", "罗"}
	pinyin     = []string{"wang", "li", "zhang", "liu", "chen", "yang", "zhao", "huang", "zhou", "wu", "xu", "sun", "hu", "zhu", "gao", "lin", "he", "guo", "ma", "luo"}
)

func inventName(rng *rand.Rand) name {
	if rng.IntN(5) < 2 {
		k := rng.IntN(len(eastFamily))
		return name{given: pick(rng, eastGiven), family: eastFamily[k], latin: pinyin[k], eastern: true}
	}
	n := name{given: pick(rng, westGiven), family: pick(rng, westFamily)}
	n.latin = strings.Map(func(r rune) rune {
		if r < 0x80 {
			return r
		}
		return -1
	}, strings.ToLower(n.given+"."+n.family))
	return n
}

var domains = []string{"example.com", "example.org", "example.net", "mail.example.com", "post.example.org"}

// inventEmail returns a canonical address that holds the person's number, so
// that no two are the same.
func inventEmail(rng *rand.Rand, n name, person, k int) string {
	domain := pick(rng, domains)
	if rng.IntN(200) == 0 {
		domain = punycode + ".example.net"
	}
	sep := pick(rng, []string{".", "_", "-", "+"})
	return n.latin + sep + strconv.Itoa(person) + string(rune('a'+k)) + "@" + domain
}

// A label that is not ASCII, both ways.
const unicodeLabel, punycode = "bücher", "xn--bcher-kva"

// block is a range of numbers: the digits after the plus, in the groups people
// write them in, X standing for a digit to choose.
type block struct {
	region string
	shape  string
}

// CN mobile and landline numbers, all with 000 or 5550 in the middle.
var homeBlocks = []block{
	{"CN", "86 13X 000X XXXX"},
	{"CN", "86 15X 000X XXXX"},
	{"CN", "86 18X 000X XXXX"},
	{"CN", "86 19X 000X XXXX"},
	{"CN", "86 10 5550 XXXX"},
	{"CN", "86 755 5550 XXXX"},
}

// Over twenty other regions. Reserved for fiction: NANPA 555-01XX; Ofcom 7700 900XXX,
// 20 7946 0XXX, 113 496 0XXX; Bundesnetzagentur 30 23125 XXX, 69 90009 XXX,
// 40 66969 XXX, 171 39200 XX; Arcep 1 99 00, 2 61 91, 3 53 01, 4 65 71, 5 36 49,
// 6 39 98; ACMA 5550 XXXX and 7010 XXXX; PTS 8 465 004 XX, 70 1740 6XX. The rest
// is invented.
var awayBlocks = []block{
	{"US", "1 202 555 01XX"},
	{"US", "1 212 555 01XX"},
	{"US", "1 415 555 01XX"},
	{"US", "1 503 555 01XX"},
	{"US", "1 617 555 01XX"},
	{"CA", "1 416 555 01XX"},
	{"CA", "1 604 555 01XX"},
	{"GB", "44 7700 900XXX"},
	{"GB", "44 20 7946 0XXX"},
	{"GB", "44 113 496 0XXX"},
	{"DE", "49 30 23125 XXX"},
	{"DE", "49 69 90009 XXX"},
	{"DE", "49 40 66969 XXX"},
	{"DE", "49 171 39200 XX"},
	{"FR", "33 1 99 00 XX XX"},
	{"FR", "33 2 61 91 XX XX"},
	{"FR", "33 6 39 98 XX XX"},
	{"AU", "61 2 5550 XXXX"},
	{"AU", "61 3 7010 XXXX"},
	{"SE", "46 8 465 004 XX"},
	{"SE", "46 70 174 06 XX"},
	{"IN", "91 98000 0XXXX"},
	{"JP", "81 90 0000 XXXX"},
	{"KR", "82 10 0000 XXXX"},
	{"BR", "55 11 90000 XXXX"},
	{"RU", "7 900 000 XX XX"},
	{"ES", "34 600 000 XXX"},
	{"NL", "31 6 0000 XXXX"},
	{"PL", "48 500 00X XXX"},
	{"TR", "90 500 000 XX XX"},
	{"TH", "66 80 000 XXXX"},
	{"VN", "84 90 000 XXXX"},
	{"SG", "65 8000 XXXX"},
	{"HK", "852 5000 XXXX"},
	{"TW", "886 900 00X XXX"},
	{"ZA", "27 60 000 XXXX"},
}

// inventPhone returns a number in E.164.
func inventPhone(rng *rand.Rand) string {
	list := homeBlocks
	if rng.IntN(10) < 3 {
		list = awayBlocks
	}
	var b strings.Builder
	b.WriteByte('+')
	for _, c := range pick(rng, list).shape {
		switch c {
		case 'X':
			b.WriteByte(byte('0' + rng.IntN(10)))
		case ' ':
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// groupsOf finds the groups in which a number is written.
func groupsOf(e164 string) (cc string, national []string) {
	digits := e164[1:]
	for _, list := range [][]block{homeBlocks, awayBlocks} {
		for _, bl := range list {
			if g, ok := match(bl.shape, digits); ok {
				return g[0], g[1:]
			}
		}
	}
	panic(fmt.Sprintf("booktest: number of %d digits is in no block", len(digits)))
}

func match(shape, digits string) (groups []string, ok bool) {
	i := 0
	for group := range strings.SplitSeq(shape, " ") {
		from := i
		for _, c := range []byte(group) {
			if i == len(digits) || c != 'X' && c != digits[i] {
				return nil, false
			}
			i++
		}
		groups = append(groups, digits[from:i])
	}
	return groups, i == len(digits)
}
