package edge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	particletype "github.com/aerospike/aerospike-client-go/v7/types/particle_type"
)

// packDepthMax bounds the recursion, far above what an event's body may nest.
const packDepthMax = 64

// errNoJSON is in the chain of every error for text that is no JSON object.
var errNoJSON = errors.New("not a JSON object")

// appendMap appends the JSON object text as Aerospike stores a map: MessagePack
// in which every string begins with its particle type. Whole numbers that fit
// 64 bits become integers, others doubles; a number beyond every double stays
// text. It is one pass over text, and allocates only when dst must grow.
//
// Keys must differ, as they do in the body of an event.
func appendMap(dst, text []byte) ([]byte, error) {
	p := packer{dst: dst, text: text}
	p.space()
	if p.at >= len(text) || text[p.at] != '{' {
		return dst, fmt.Errorf("%w: it begins otherwise", errNoJSON)
	}
	err := p.value(0)
	if err == nil {
		if p.space(); p.at != len(text) {
			err = p.fail("something follows it")
		}
	}
	if err != nil {
		return dst, err
	}
	return p.dst, nil
}

// packer turns text into dst.
type packer struct {
	dst, text []byte
	at        int // in text
}

func (p *packer) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", errNoJSON, what, p.at)
}

func (p *packer) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *packer) value(depth int) error {
	if p.at >= len(p.text) {
		return p.fail("it ends early")
	}
	switch c := p.text[p.at]; c {
	case '"':
		return p.str()
	case '{':
		return p.container(depth, '}', 0x80, 0xde)
	case '[':
		return p.container(depth, ']', 0x90, 0xdc)
	case 't':
		return p.word("true", 0xc3)
	case 'f':
		return p.word("false", 0xc2)
	case 'n':
		return p.word("null", 0xc0)
	default:
		return p.number()
	}
}

func (p *packer) word(word string, code byte) error {
	if !bytes.HasPrefix(p.text[p.at:], []byte(word)) {
		return p.fail("no value")
	}
	p.at += len(word)
	p.dst = append(p.dst, code)
	return nil
}

// container packs an object or an array. Its head comes first and says how
// many there are; one byte is enough for 15, and what follows moves for more.
func (p *packer) container(depth int, end byte, short, long byte) error {
	if depth >= packDepthMax {
		return p.fail("nested too deeply")
	}
	head := len(p.dst)
	p.dst = append(p.dst, short)
	p.at++
	if p.space(); p.at < len(p.text) && p.text[p.at] == end {
		p.at++
		return nil
	}
	count := 0
	for {
		if err := p.member(depth, end); err != nil {
			return err
		}
		count++
		if p.space(); p.at >= len(p.text) {
			return p.fail("it ends early")
		}
		c := p.text[p.at]
		if c != ',' && c != end {
			return p.fail("no comma")
		}
		p.at++
		if c == end {
			break
		}
		p.space()
	}
	switch {
	case count < 16:
		p.dst[head] = short | byte(count)
	case count <= math.MaxUint16:
		p.insert(head+1, 2)
		p.dst[head] = long
		binary.BigEndian.PutUint16(p.dst[head+1:], uint16(count))
	default:
		p.insert(head+1, 4)
		p.dst[head] = long + 1
		binary.BigEndian.PutUint32(p.dst[head+1:], uint32(count))
	}
	return nil
}

// member packs one element of an array, or a key and its value.
func (p *packer) member(depth int, end byte) error {
	if end == '}' {
		if p.at >= len(p.text) || p.text[p.at] != '"' {
			return p.fail("no key")
		}
		if err := p.str(); err != nil {
			return err
		}
		if p.space(); p.at >= len(p.text) || p.text[p.at] != ':' {
			return p.fail("no colon")
		}
		p.at++
		p.space()
	}
	return p.value(depth + 1)
}

// insert makes room for n bytes at a place of dst.
func (p *packer) insert(at, n int) {
	var room [4]byte
	p.dst = append(p.dst, room[:n]...)
	copy(p.dst[at+n:], p.dst[at:])
}

// str packs the string that begins at p.at.
func (p *packer) str() error {
	begin := p.at + 1
	for i := begin; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			p.at = i + 1
			p.dst = appendText(p.dst, p.text[begin:i])
			return nil
		case c == '\\':
			return p.escaped(begin, i)
		case c < 0x20:
			p.at = i
			return p.fail("a control character")
		}
	}
	return p.fail("a string without end")
}

// escaped packs a string whose first escape is at i. It is written to the end
// of dst, and moves behind its head once its length is known.
func (p *packer) escaped(begin, i int) error {
	head := len(p.dst)
	p.dst = append(p.dst, p.text[begin:i]...)
	p.at = i
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			length := len(p.dst) - head
			var room [6]byte
			prefix := appendTextHead(room[:0], length)
			p.dst = append(p.dst, prefix...)
			copy(p.dst[head+len(prefix):], p.dst[head:head+length])
			copy(p.dst[head:], prefix)
			return nil
		case c == '\\':
			if err := p.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return p.fail("a control character")
		default:
			p.dst = append(p.dst, c)
			p.at++
		}
	}
	return p.fail("a string without end")
}

// unescaped maps the letter of a short escape to what it stands for.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *packer) escape() error {
	if p.at+1 >= len(p.text) {
		return p.fail("an escape without end")
	}
	if c := unescaped[p.text[p.at+1]]; c != 0 {
		p.dst = append(p.dst, c)
		p.at += 2
		return nil
	}
	r, ok := p.codeUnit(p.at)
	if !ok {
		return p.fail("an unknown escape")
	}
	p.at += 6
	if utf16.IsSurrogate(r) {
		low, _ := p.codeUnit(p.at)
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			p.at += 6
		}
	}
	p.dst = utf8.AppendRune(p.dst, r)
	return nil
}

// codeUnit reads \uXXXX.
func (p *packer) codeUnit(at int) (rune, bool) {
	if at+6 > len(p.text) || p.text[at] != '\\' || p.text[at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.text[at+2 : at+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number packs the number that begins at p.at.
func (p *packer) number() error {
	begin, whole := p.at, true
	if p.text[p.at] == '-' {
		p.at++
	}
	first := p.at
	if !p.digits() || p.at-first > 1 && p.text[first] == '0' {
		return p.fail("no value")
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		whole = false
		if p.at++; !p.digits() {
			return p.fail("no fraction")
		}
	}
	if p.at < len(p.text) && p.text[p.at]|0x20 == 'e' {
		whole = false
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if !p.digits() {
			return p.fail("no exponent")
		}
	}
	literal := p.text[begin:p.at]
	text := unsafe.String(unsafe.SliceData(literal), len(literal)) // only for the calls below
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			p.dst = appendInteger(p.dst, n)
			return nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.dst = appendText(p.dst, literal)
		return nil
	}
	p.dst = binary.BigEndian.AppendUint64(append(p.dst, 0xcb), math.Float64bits(f))
	return nil
}

// digits passes over digits, and tells whether there were any.
func (p *packer) digits() bool {
	begin := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > begin
}

func appendText(dst, text []byte) []byte {
	return append(appendTextHead(dst, len(text)), text...)
}

// appendTextHead appends what goes before a string of n bytes: the length,
// which counts the particle type, and that.
func appendTextHead(dst []byte, n int) []byte {
	n++
	switch {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, particletype.STRING)
}

// appendInteger chooses the lengths that Aerospike's clients choose.
func appendInteger(dst []byte, n int64) []byte {
	switch {
	case n >= -32 && n < 128:
		return append(dst, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		return append(dst, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(n))
	case n >= math.MinInt8 && n < 0:
		return append(dst, 0xd0, byte(n))
	case n >= math.MinInt16 && n < 0:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(n))
	case n >= math.MinInt32 && n < 0:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
}
