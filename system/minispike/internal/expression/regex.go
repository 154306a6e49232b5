package expression

import (
	"bytes"
	"regexp"
	"strings"

	"adpulse/system/minispike/internal/particle"
)

// Flags of a regular expression, as C libraries number them.
const (
	regexExtended = 1
	regexNoCase   = 2
	regexNewline  = 8
)

// regex says whether a text has a part that a POSIX regular expression
// matches. Texts are matched byte by byte and end at their first zero.
func (c *compiler) regex(args [][]byte) (node, error) {
	if err := count(args, 3); err != nil {
		return node{}, err
	}
	flags, ok := particle.Int(args[0])
	source, isText := particle.Raw(args[1])
	if !ok || !isText {
		return node{}, malformed("a regular expression without flags or pattern")
	}
	pattern, err := regexp.Compile(translated(untilZero(source), flags))
	if err != nil {
		return node{}, malformed("regular expression: %v", err)
	}
	subject, err := c.one(args[2:], text)
	return node{kind: boolean, eval: func(f *frame) value {
		v := subject.eval(f)
		if v.kind != text {
			return nowhere
		}
		return ofBool(pattern.MatchString(bytewise(untilZero(v.bytes))))
	}}, err
}

func untilZero(s []byte) []byte {
	if i := bytes.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

// bytewise is a string with a character for every byte.
func bytewise(s []byte) string {
	var out strings.Builder
	for _, b := range s {
		out.WriteRune(rune(b))
	}
	return out.String()
}

// translated is a POSIX regular expression in Go's syntax. Basic ones differ
// from extended ones in which of their operators take a backslash.
func translated(pattern []byte, flags int64) string {
	var out strings.Builder
	switch {
	case flags&regexNewline != 0:
		out.WriteString("(?m)")
	default:
		out.WriteString("(?s)")
	}
	if flags&regexNoCase != 0 {
		out.WriteString("(?i)")
	}
	extended := flags&regexExtended != 0
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '[':
			end := bracketEnd(pattern[i:])
			out.WriteString(bracket(pattern[i : i+end]))
			i += end - 1
		case c == '\\' && i+1 < len(pattern):
			i++
			out.WriteString(escaped(pattern[i], extended))
		case !extended && strings.IndexByte("(){}|+?", c) >= 0:
			out.WriteString("\\" + string(rune(c)))
		default:
			out.WriteRune(rune(c))
		}
	}
	return out.String()
}

func escaped(c byte, extended bool) string {
	if !extended && strings.IndexByte("(){}|+?", c) >= 0 {
		return string(rune(c))
	}
	switch c {
	case 'w', 'W', 's', 'S', 'b', 'B':
		return "\\" + string(rune(c))
	case '<', '>':
		return `\b`
	}
	return regexp.QuoteMeta(string(rune(c)))
}

// bracketEnd is where the bracket expression ends that the pattern starts with.
func bracketEnd(pattern []byte) int {
	i := 1
	if i < len(pattern) && pattern[i] == '^' {
		i++
	}
	if i < len(pattern) && pattern[i] == ']' {
		i++
	}
	for i < len(pattern) {
		switch {
		case pattern[i] == ']':
			return i + 1
		case pattern[i] == '[' && i+1 < len(pattern) && pattern[i+1] == ':':
			if end := bytes.Index(pattern[i:], []byte(":]")); end > 0 {
				i += end + 2
				continue
			}
			i++
		default:
			i++
		}
	}
	return len(pattern)
}

// bracket is a bracket expression, in which POSIX has no backslash.
func bracket(pattern []byte) string {
	text := bytewise(pattern)
	return strings.ReplaceAll(text, `\`, `\\`)
}
