package minispike

import (
	"adpulse/system/minispike/internal/cdt"
	"adpulse/system/minispike/internal/particle"
)

func (v value) particle() particle.Particle {
	return particle.Particle{Kind: particle.Kind(v.kind), Bytes: v.value}
}

func valueOf(p particle.Particle) value { return value{byte(p.Kind), p.Bytes} }

// readCollection runs a list or map operation that only reads.
func readCollection(v value, operand []byte) (value, byte) {
	result, code := cdt.Read(v.particle(), operand)
	return valueOf(result), code
}

// modifyCollection runs a list or map operation that changes the bin.
func modifyCollection(v value, operand []byte) (bin, result value, code byte) {
	made, answer, code := cdt.Modify(v.particle(), operand)
	return valueOf(made), valueOf(answer), code
}
