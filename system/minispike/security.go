package minispike

import "encoding/binary"

const securityHeaderBytes = 16

// serveSecurity answers whoever wants to log in: security is not enabled.
func (s *session) serveSecurity() {
	start := len(s.out)
	s.out = appendFrameHeader(s.out, frameSecurity)
	at := len(s.out)
	s.out = append(s.out, make([]byte, securityHeaderBytes)...)
	s.out[at+1] = codeSecurityDisabled
	binary.BigEndian.PutUint16(s.out[at+2:], 0)
	closeFrame(s.out, start)
}
