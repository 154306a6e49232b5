package minispike

// readCollection runs a list or map operation that only reads.
func readCollection(v value, operand []byte) (value, byte) { return value{}, codeUnsupported }

// modifyCollection runs a list or map operation that changes the bin.
func modifyCollection(v value, operand []byte) (bin, result value, code byte) {
	return value{}, value{}, codeUnsupported
}
