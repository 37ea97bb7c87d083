package vcard

import (
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// charset is a character set that CHARSET may name.
type charset uint8

const (
	noSet charset = iota
	utf8Set
	gbk
	gb18030
	hz
	big5
	shiftJIS
	eucJP
	iso2022JP
	eucKR
	koi8R
	koi8U
	macRoman
	macCyrillic
	cp437
	cp850
	cp852
	cp855
	cp858
	cp860
	cp862
	cp863
	cp865
	cp866
	windows874
	windows1250
	windows1251
	windows1252
	windows1253
	windows1254
	windows1255
	windows1256
	windows1257
	windows1258
	iso2
	iso3
	iso4
	iso5
	iso6
	iso7
	iso8
	iso10
	iso13
	iso14
	iso15
	iso16
	charsets
)

// shifts tells whether the set gives ASCII bytes another meaning.
func (c charset) shifts() bool { return c == hz || c == iso2022JP }

// encoding returns how to decode the set. ISO-8859-1 is read as Windows-1252,
// which holds it and is what files that say ISO-8859-1 are in.
func (c charset) encoding() encoding.Encoding {
	switch c {
	case gbk:
		return simplifiedchinese.GBK
	case gb18030:
		return simplifiedchinese.GB18030
	case hz:
		return simplifiedchinese.HZGB2312
	case big5:
		return traditionalchinese.Big5
	case shiftJIS:
		return japanese.ShiftJIS
	case eucJP:
		return japanese.EUCJP
	case iso2022JP:
		return japanese.ISO2022JP
	case eucKR:
		return korean.EUCKR
	}
	if m := charmaps[c]; m != nil {
		return m
	}
	return charmap.Windows1252
}

var charmaps = [charsets]*charmap.Charmap{
	koi8R: charmap.KOI8R, koi8U: charmap.KOI8U, macRoman: charmap.Macintosh, macCyrillic: charmap.MacintoshCyrillic,
	cp437: charmap.CodePage437, cp850: charmap.CodePage850, cp852: charmap.CodePage852, cp855: charmap.CodePage855,
	cp858: charmap.CodePage858, cp860: charmap.CodePage860, cp862: charmap.CodePage862, cp863: charmap.CodePage863,
	cp865: charmap.CodePage865, cp866: charmap.CodePage866,
	windows874: charmap.Windows874, windows1250: charmap.Windows1250, windows1251: charmap.Windows1251,
	windows1252: charmap.Windows1252, windows1253: charmap.Windows1253, windows1254: charmap.Windows1254,
	windows1255: charmap.Windows1255, windows1256: charmap.Windows1256, windows1257: charmap.Windows1257,
	windows1258: charmap.Windows1258,
	iso2:        charmap.ISO8859_2, iso3: charmap.ISO8859_3, iso4: charmap.ISO8859_4, iso5: charmap.ISO8859_5,
	iso6: charmap.ISO8859_6, iso7: charmap.ISO8859_7, iso8: charmap.ISO8859_8, iso10: charmap.ISO8859_10,
	iso13: charmap.ISO8859_13, iso14: charmap.ISO8859_14, iso15: charmap.ISO8859_15, iso16: charmap.ISO8859_16,
}

// findCharset knows a set by its names in the IANA registry and by what phones
// and mail programs call it. Case, "-", "_", ":" and blanks do not matter.
func findCharset(name []byte) charset {
	if equalFold(name, "UTF-8") {
		return utf8Set
	}
	var key [24]byte
	n := 0
	for _, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '-', c == '_', c == ' ', c == ':', c == '"', c == '\'':
			continue
		}
		if n == len(key) {
			return noSet
		}
		key[n] = c
		n++
	}
	k := key[:n]
	for _, prefix := range [...]string{"windows", "xcp", "cp", "ibm", "ms", "dos"} {
		if len(k) > len(prefix) && string(k[:len(prefix)]) == prefix {
			if c := codePage(k[len(prefix):]); c != noSet {
				return c
			}
		}
	}
	switch string(k) {
	case "utf8", "unicode11utf8", "ascii", "usascii", "cp65001", "65001":
		return utf8Set
	case "gbk", "xgbk", "gb2312", "gb231280", "euccn", "xeuccn", "chinese", "csgb2312", "isoir58", "gb":
		return gbk
	case "gb18030":
		return gb18030
	case "hzgb2312", "hz":
		return hz
	case "big5", "xxbig5", "csbig5", "cnbig5", "big5hkscs":
		return big5
	case "shiftjis", "sjis", "xsjis", "mskanji", "windows31j", "csshiftjis", "xmscp932":
		return shiftJIS
	case "eucjp", "xeucjp":
		return eucJP
	case "iso2022jp", "csiso2022jp":
		return iso2022JP
	case "euckr", "ksc5601", "ksc56011987", "korean", "uhc", "ksx1001", "cseuckr":
		return eucKR
	case "koi8r", "koi8", "cskoi8r":
		return koi8R
	case "koi8u":
		return koi8U
	case "macintosh", "mac", "macroman", "xmacroman":
		return macRoman
	case "xmaccyrillic", "maccyrillic":
		return macCyrillic
	case "tis620":
		return windows874
	case "latin1", "l1", "ansi", "iso885911987":
		return windows1252
	case "latin2", "l2":
		return iso2
	case "latin5", "l5":
		return windows1254
	case "latin9", "l9":
		return iso15
	}
	if len(k) > 7 && string(k[:7]) == "iso8859" {
		return isoPart(k[7:])
	}
	if len(k) > 4 && string(k[:4]) == "8859" {
		return isoPart(k[4:])
	}
	return noSet
}

func codePage(k []byte) charset {
	switch string(k) {
	case "936":
		return gbk
	case "950":
		return big5
	case "932":
		return shiftJIS
	case "949":
		return eucKR
	case "437":
		return cp437
	case "850":
		return cp850
	case "852":
		return cp852
	case "855":
		return cp855
	case "858":
		return cp858
	case "860":
		return cp860
	case "862":
		return cp862
	case "863":
		return cp863
	case "865":
		return cp865
	case "866":
		return cp866
	case "874":
		return windows874
	}
	if len(k) == 4 && string(k[:3]) == "125" && '0' <= k[3] && k[3] <= '8' {
		return windows1250 + charset(k[3]-'0')
	}
	return noSet
}

// isoPart knows the parts of ISO 8859; those that a Windows set extends are read as that.
func isoPart(k []byte) charset {
	switch string(k) {
	case "1":
		return windows1252
	case "2":
		return iso2
	case "3":
		return iso3
	case "4":
		return iso4
	case "5":
		return iso5
	case "6":
		return iso6
	case "7":
		return iso7
	case "8":
		return iso8
	case "9":
		return windows1254
	case "10":
		return iso10
	case "11":
		return windows874
	case "13":
		return iso13
	case "14":
		return iso14
	case "15":
		return iso15
	case "16":
		return iso16
	}
	return noSet
}
