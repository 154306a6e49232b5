package cdt

import "adpulse/system/minispike/internal/particle"

// add adds two numbers; the first one's type decides which type comes out.
func add(a, b []byte, negative bool) ([]byte, byte) {
	switch particle.TypeOf(b) {
	case particle.TypeInt, particle.TypeFloat:
	default:
		return nil, parameter
	}
	switch particle.TypeOf(a) {
	case particle.TypeInt:
		x, _ := particle.Int(a)
		var y int64
		if particle.TypeOf(b) == particle.TypeFloat {
			f, _ := particle.Number(b)
			y = int64(f)
		} else {
			y, _ = particle.Int(b)
		}
		if negative {
			y = -y
		}
		return particle.AppendInt(nil, x+y), ok
	case particle.TypeFloat:
		x, _ := particle.Number(a)
		y, _ := particle.Number(b)
		if negative {
			y = -y
		}
		return particle.AppendFloat(nil, x+y), ok
	}
	return nil, parameter
}
