package messages

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Problems that are told in more than one place.
const (
	problemTwice = "appears twice"
	problemNUL   = "contains the NUL character"
)

// fieldNameMax bounds how much of a key a refusal repeats, in bytes.
const fieldNameMax = 64

// scanner reads JSON that is known to be valid UTF-8 and appends its canonical
// form to out: no spaces, strings with as few escapes as possible, numbers as
// they were written. Two strings are equal if and only if their canonical forms
// are, so keys are compared without being unescaped.
type scanner struct {
	in     []byte
	at     int
	out    []byte
	keys   []span // in out: the keys of every open object, the inner ones last
	fields int
	field  []byte // the body's field that is being read; nil before its key is
	name   [fieldNameMax]byte
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.in) {
		return s.in[s.at]
	}
	return 0
}

// take passes over c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.in) && s.in[s.at] == c {
		s.at++
		return true
	}
	return false
}

// space passes over white space.
func (s *scanner) space() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// refuse blames the field that is being read, or the body before there is one.
func (s *scanner) refuse(problem string) *Refusal {
	if len(s.field) == 0 {
		return &Refusal{Field: "body", Problem: problem}
	}
	return &Refusal{Field: fieldName(s.field), Problem: problem}
}

func (s *scanner) refuseAt(index int, problem string) *Refusal {
	return &Refusal{Field: fieldName(s.field) + "[" + strconv.Itoa(index) + "]", Problem: problem}
}

// fieldName is a key as a refusal shows it; a cut may have split a character.
func fieldName(key []byte) string {
	for len(key) > 0 && !utf8.Valid(key) {
		key = key[:len(key)-1]
	}
	return string(key)
}

// syntax refuses what is no JSON.
func (s *scanner) syntax(expected string) *Refusal {
	if s.at >= len(s.in) {
		return &Refusal{Field: "body", Problem: "is not valid JSON: it ends where " + expected + " should be"}
	}
	return &Refusal{Field: "body", Problem: "is not valid JSON: expected " + expected + " at byte " + strconv.Itoa(s.at)}
}

// wrongType refuses a value of another type than was expected.
func (s *scanner) wrongType(expected string) *Refusal {
	if s.peek() == 'n' {
		return s.refuse("is null: it must be " + expected)
	}
	return s.refuse("must be " + expected)
}

// key reads a key and counts it. Its canonical form, with the quotes, is the end
// of out.
func (s *scanner) key() *Refusal {
	if s.peek() != '"' {
		return s.syntax("a key")
	}
	if s.fields++; s.fields > FieldsMax {
		return &Refusal{Field: "body", Problem: "has more than " + strconv.Itoa(FieldsMax) + " fields"}
	}
	return s.string()
}

// remember refuses a key that the object at base has already.
func (s *scanner) remember(base int, key span) *Refusal {
	for _, other := range s.keys[base:] {
		if string(s.out[other.from:other.to]) == string(s.out[key.from:key.to]) {
			return s.refuse(problemTwice)
		}
	}
	s.keys = append(s.keys, key)
	return nil
}

// colon passes over the colon behind a key, and the space around it.
func (s *scanner) colon() *Refusal {
	s.space()
	if !s.take(':') {
		return s.syntax("a colon")
	}
	s.space()
	return nil
}

// value reads any value. depth is that of the value which holds it.
func (s *scanner) value(depth int) *Refusal {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		_, refusal := s.number()
		return refusal
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.syntax("a value")
}

func (s *scanner) literal(word string) *Refusal {
	if len(s.in)-s.at < len(word) || string(s.in[s.at:s.at+len(word)]) != word {
		return s.syntax("a value")
	}
	s.at += len(word)
	s.out = append(s.out, word...)
	return nil
}

func (s *scanner) tooDeep() *Refusal {
	return s.refuse("nests deeper than " + strconv.Itoa(DepthMax) + " levels")
}

func (s *scanner) object(depth int) *Refusal {
	if depth > DepthMax {
		return s.tooDeep()
	}
	s.at++
	s.out = append(s.out, '{')
	base := len(s.keys)
	s.space()
	if s.take('}') {
		s.out = append(s.out, '}')
		return nil
	}
	for {
		start := len(s.out)
		if refusal := s.key(); refusal != nil {
			return refusal
		}
		if refusal := s.remember(base, span{start, len(s.out)}); refusal != nil {
			return refusal
		}
		if refusal := s.colon(); refusal != nil {
			return refusal
		}
		s.out = append(s.out, ':')
		if refusal := s.value(depth); refusal != nil {
			return refusal
		}
		s.space()
		switch {
		case s.take(','):
			s.out = append(s.out, ',')
			s.space()
		case s.take('}'):
			s.out = append(s.out, '}')
			s.keys = s.keys[:base]
			return nil
		default:
			return s.syntax("a comma or the end of the object")
		}
	}
}

func (s *scanner) array(depth int) *Refusal {
	if depth > DepthMax {
		return s.tooDeep()
	}
	s.at++
	s.out = append(s.out, '[')
	s.space()
	if s.take(']') {
		s.out = append(s.out, ']')
		return nil
	}
	for {
		if refusal := s.value(depth); refusal != nil {
			return refusal
		}
		s.space()
		switch {
		case s.take(','):
			s.out = append(s.out, ',')
			s.space()
		case s.take(']'):
			s.out = append(s.out, ']')
			return nil
		default:
			return s.syntax("a comma or the end of the array")
		}
	}
}

// number reads a number that a float64 can hold, and tells whether it is
// written as a whole one.
func (s *scanner) number() (whole bool, refusal *Refusal) {
	start := s.at
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false, s.syntax("a digit")
	}
	whole = true
	if s.take('.') {
		whole = false
		if !s.digits() {
			return false, s.syntax("a digit")
		}
	}
	exponent := false
	if s.take('e') || s.take('E') {
		whole, exponent = false, true
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return false, s.syntax("a digit")
		}
	}
	text := s.in[start:s.at]
	// Without an exponent, fewer characters than this are always finite.
	const finite = 300
	if exponent || len(text) > finite {
		if v, err := strconv.ParseFloat(alias(text), 64); err != nil || math.IsInf(v, 0) {
			return false, s.refuse("holds a number that is too large")
		}
	}
	s.out = append(s.out, text...)
	return whole, nil
}

// digits passes over digits and tells whether there were any.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.in) && s.in[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at > start
}

// stringValue reads a value that must be a string.
func (s *scanner) stringValue() *Refusal {
	if s.peek() != '"' {
		return s.wrongType("a string")
	}
	return s.string()
}

// string reads a string, its opening quote next, and appends its canonical
// form with the quotes.
func (s *scanner) string() *Refusal {
	start := s.at // everything before start is in out
	for i := s.at + 1; i < len(s.in); {
		c := s.in[i]
		switch {
		case c == '"':
			s.out = append(s.out, s.in[start:i+1]...)
			s.at = i + 1
			return nil
		case c == '\\':
			s.out = append(s.out, s.in[start:i]...)
			s.at = i
			if refusal := s.escape(); refusal != nil {
				return refusal
			}
			i, start = s.at, s.at
		case c < ' ':
			s.at = i
			return s.syntax("no control character in a string")
		default:
			i++
		}
	}
	s.at = len(s.in)
	return s.syntax("the end of a string")
}

// escape reads one escape sequence, or two that are a surrogate pair.
func (s *scanner) escape() *Refusal {
	s.at++ // the backslash
	c := s.peek()
	switch c {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		s.out = append(s.out, '\\', c)
	case '/':
		s.out = append(s.out, '/')
	case 'u':
		return s.unicodeEscape()
	default:
		return s.syntax("an escape")
	}
	s.at++
	return nil
}

func (s *scanner) unicodeEscape() *Refusal {
	r, ok := s.fourDigits()
	if !ok {
		return s.syntax("four hexadecimal digits")
	}
	if utf16.IsSurrogate(r) {
		var low rune
		if ok = s.take('\\'); ok && s.peek() == 'u' {
			low, ok = s.fourDigits()
		}
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return s.refuse("contains half of a surrogate pair, which is not valid UTF-8")
		}
	}
	switch {
	case r == 0:
		return s.refuse(problemNUL)
	case r >= ' ' && r != '"' && r != '\\':
		s.out = utf8.AppendRune(s.out, r)
	default:
		s.out = appendEscaped(s.out, byte(r))
	}
	return nil
}

// fourDigits reads the u of an escape and its digits.
func (s *scanner) fourDigits() (rune, bool) {
	const length = len("uXXXX")
	if len(s.in)-s.at < length {
		s.at = len(s.in)
		return 0, false
	}
	var r rune
	for _, c := range s.in[s.at+1 : s.at+length] {
		digit := nibble(c)
		if digit > 15 {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	s.at += length
	return r, true
}

// appendEscaped appends the shortest escape of a control character, a quote or
// a backslash. Unlike AppendJSONString it knows \b and \f, so that a body never
// grows by being made canonical.
func appendEscaped(dst []byte, c byte) []byte {
	const hexDigits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// text is the string that a canonical form, with its quotes, stands for. It
// shares quoted's memory where there is nothing to unescape.
func text(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	var plain []byte
	start := 0
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		plain = append(plain, inner[start:i]...)
		i++
		switch c := inner[i]; c {
		case 'b':
			plain = append(plain, '\b')
		case 'f':
			plain = append(plain, '\f')
		case 'n':
			plain = append(plain, '\n')
		case 'r':
			plain = append(plain, '\r')
		case 't':
			plain = append(plain, '\t')
		case 'u': // \u00XX: canonical text escapes nothing beyond
			plain = append(plain, nibble(inner[i+3])<<4|nibble(inner[i+4]))
			i += len("00XX")
		default:
			plain = append(plain, c)
		}
		start = i + 1
	}
	if start == 0 {
		return alias(inner)
	}
	return string(append(plain, inner[start:]...))
}
