package minispike

// filter applies the command's filter expression, or its batch's.
func (s *session) filter(c *command, r *record) byte {
	if len(c.filter) == 0 {
		return codeOK
	}
	return codeUnsupported
}

// readByExpression answers with an expression's value.
func (s *session) readByExpression(o op, work *bins, r *record) (value, byte) {
	return value{}, codeUnsupported
}

// modifyByExpression gives a bin an expression's value.
func (s *session) modifyByExpression(o op, work *bins, r *record) byte { return codeUnsupported }

// filterCache keeps a session's last filter compiled.
type filterCache struct{}

// compiles says whether a query's filter can be understood.
func (s *session) compiles(c *command) byte {
	if len(c.filter) == 0 {
		return codeOK
	}
	return codeUnsupported
}
