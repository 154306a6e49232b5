package gateway

import "bytes"

// splitter finds the events in a body of many: the elements of a JSON array, or
// lines. It finds where each begins and ends and does not look inside; what an
// element is worth its decoder tells.
type splitter struct {
	in      []byte
	at      int
	array   bool
	began   bool   // the array has an element
	done    bool   // the array was closed, or problem is set
	problem string // what is wrong with the body as a whole
}

// newSplitter takes a body that begins with a bracket for an array, and every
// other for lines.
func newSplitter(body []byte) *splitter {
	s := &splitter{in: body}
	s.space()
	if s.at < len(body) && body[s.at] == '[' {
		s.array = true
		s.at++
	}
	return s
}

// next returns the next element, without the space around it, and false when
// there is none any more; problem is set then if the body is at fault.
func (s *splitter) next() ([]byte, bool) {
	if !s.array {
		return s.line()
	}
	if s.done {
		return nil, false
	}
	s.space()
	if !s.began && s.at < len(s.in) && s.in[s.at] == ']' {
		s.close()
		return nil, false
	}
	start := s.at
	if !s.element() {
		return nil, s.fail("is not valid JSON: its array has no end")
	}
	element := bytes.TrimRight(s.in[start:s.at], " \t\r\n")
	if len(element) == 0 {
		return nil, s.fail("is not valid JSON: its array has a comma without a value")
	}
	s.began = true
	if s.in[s.at] == ']' {
		s.close()
	} else {
		s.at++
	}
	return element, true
}

func (s *splitter) fail(problem string) bool {
	s.problem, s.done = problem, true
	return false
}

// close passes over the closing bracket, behind which nothing may come.
func (s *splitter) close() {
	s.at++
	s.done = true
	if s.space(); s.at < len(s.in) {
		s.problem = "has more after its JSON array"
	}
}

func (s *splitter) space() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// line returns the next line that is not blank.
func (s *splitter) line() ([]byte, bool) {
	for s.at < len(s.in) {
		line := s.in[s.at:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		s.at += len(line) + 1
		if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
			return line, true
		}
	}
	return nil, false
}

// element goes to the comma or bracket behind the element, and returns false
// where there is none.
func (s *splitter) element() bool {
	depth := 0
	for ; s.at < len(s.in); s.at++ {
		switch s.in[s.at] {
		case '"':
			if !s.text() {
				return false
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				// A brace here belongs to nothing: the decoder will say so.
				if s.in[s.at] == ']' {
					return true
				}
				continue
			}
			depth--
		case ',':
			if depth == 0 {
				return true
			}
		}
	}
	return false
}

// text goes from a string's opening quote to its closing one.
func (s *splitter) text() bool {
	for s.at++; s.at < len(s.in); s.at++ {
		switch s.in[s.at] {
		case '\\':
			s.at++
		case '"':
			return true
		}
	}
	return false
}
