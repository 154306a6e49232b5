package expression

import (
	"encoding/binary"
	"fmt"

	"adpulse/system/minispike/internal/particle"
)

const maxBinName = 15

// metadata is what a record is, apart from its bins.
func metadata(code int64) (eval func(*frame) value, of kind) {
	switch code {
	case opLastUpdate:
		return func(f *frame) value { return ofInt(f.record.LastUpdate()) }, integer
	case opSinceUpdate:
		return func(f *frame) value { return ofInt(f.record.SinceUpdate()) }, integer
	case opVoidTime:
		return func(f *frame) value { return ofInt(f.record.VoidTime()) }, integer
	case opTTL:
		return func(f *frame) value { return ofInt(f.record.TTL()) }, integer
	case opDeviceSize, opRecordSize:
		return func(f *frame) value { return ofInt(f.record.Size()) }, integer
	case opMemorySize:
		return func(*frame) value { return ofInt(0) }, integer
	case opSet:
		return func(f *frame) value { return value{kind: text, bytes: f.record.Set()} }, text
	case opKeyExists:
		return func(f *frame) value {
			_, stored := f.record.UserKey()
			return ofBool(stored)
		}, boolean
	case opTombstone:
		return func(*frame) value { return ofBool(false) }, boolean
	}
	return nil, 0
}

func digestModulo(args [][]byte) (node, error) {
	if err := count(args, 1); err != nil {
		return node{}, err
	}
	n, ok := particle.Int(args[0])
	if !ok || int32(n) == 0 {
		return node{}, malformed("a digest modulo nothing")
	}
	by := int64(int32(n))
	return node{kind: integer, eval: func(f *frame) value {
		digest := f.record.Digest()
		if len(digest) < 20 {
			return nowhere
		}
		return ofInt(int64(binary.LittleEndian.Uint32(digest[16:])) % by)
	}}, nil
}

// named is the kind that a request asks for.
func named(e []byte) (kind, error) {
	n, ok := particle.Int(e)
	if !ok || n < 0 || n >= int64(kinds) {
		return 0, malformed("no type")
	}
	return kind(n), nil
}

func userKey(args [][]byte) (node, error) {
	if err := count(args, 1); err != nil {
		return node{}, err
	}
	want, err := named(args[0])
	if err != nil {
		return node{}, err
	}
	if want != integer && want != text && want != blob {
		return node{}, malformed("a key of type %d", want)
	}
	return node{kind: want, eval: func(f *frame) value {
		key, _ := f.record.UserKey()
		return valueOf(key).as(want)
	}}, nil
}

// as is the value if it is of a kind, else it is unknown.
func (v value) as(want kind) value {
	if v.kind != want {
		return nowhere
	}
	return v
}

func binName(e []byte) ([]byte, error) {
	name, ok := particle.Raw(e)
	if !ok || len(name) > maxBinName {
		return nil, malformed("a bin's name of %d bytes", len(name))
	}
	return name, nil
}

func bin(args [][]byte) (node, error) {
	if err := count(args, 2); err != nil {
		return node{}, err
	}
	want, err := named(args[0])
	if err != nil {
		return node{}, err
	}
	name, err := binName(args[1])
	return node{kind: want, eval: func(f *frame) value {
		p, ok := f.record.Bin(name)
		if !ok {
			return nowhere
		}
		return valueOf(p).as(want)
	}}, err
}

func binType(args [][]byte) (node, error) {
	if err := count(args, 1); err != nil {
		return node{}, err
	}
	name, err := binName(args[0])
	return node{kind: integer, eval: func(f *frame) value {
		p, _ := f.record.Bin(name)
		return ofInt(int64(p.Kind))
	}}, err
}

// halves are a map's keys or values, in the order of the keys.
func (c *compiler) halves(code int64, args [][]byte) (node, error) {
	from, err := c.one(args, dictionary)
	if err != nil {
		return node{}, fmt.Errorf("half of a map: %w", err)
	}
	return node{kind: list, eval: func(f *frame) value {
		pairs, _, ok := particle.Pairs(from.eval(f).bytes)
		if !ok {
			return nowhere
		}
		particle.SortPairs(pairs)
		half := make([][]byte, len(pairs))
		for i, p := range pairs {
			half[i] = p.Key
			if code == opMapValues {
				half[i] = p.Value
			}
		}
		return value{kind: list, bytes: particle.AppendList(nil, half, 0)}
	}}, nil
}
