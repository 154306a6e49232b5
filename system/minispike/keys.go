package minispike

import "encoding/binary"

// The first byte of a Pebble key says what it is.
const (
	prefixExpiry   = 'e' // void time 4, write number 8 -> digests that may die then
	prefixIndex    = 'i' // index number 4, partition 2, value 8, digest 20 -> nothing
	prefixMeta     = 'm' // name -> a setting, an index definition, a truncation
	prefixRecord   = 'r' // partition 2, digest 20 -> record
	recordKeyBytes = 1 + 2 + digestBytes
	indexKeyBytes  = 1 + 4 + 2 + 8 + digestBytes
)

func putRecordKey(key []byte, digest *[digestBytes]byte) {
	_ = key[recordKeyBytes-1]
	key[0] = prefixRecord
	binary.BigEndian.PutUint16(key[1:], uint16(partitionOf(digest)))
	copy(key[3:], digest[:])
}

func recordKey(digest *[digestBytes]byte) (key [recordKeyBytes]byte) {
	putRecordKey(key[:], digest)
	return key
}

// partitionBounds are the first key of a partition's records and the first
// after them.
func partitionBounds(partition int) (lower, upper []byte) {
	return binary.BigEndian.AppendUint16([]byte{prefixRecord}, uint16(partition)),
		binary.BigEndian.AppendUint16([]byte{prefixRecord}, uint16(partition+1))
}

// indexKey orders an index's entries by partition, then value, then digest.
func indexKey(index uint32, partition int, value int64, digest *[digestBytes]byte) (key [indexKeyBytes]byte) {
	key[0] = prefixIndex
	binary.BigEndian.PutUint32(key[1:], index)
	binary.BigEndian.PutUint16(key[5:], uint16(partition))
	binary.BigEndian.PutUint64(key[7:], uint64(value)^1<<63)
	copy(key[15:], digest[:])
	return key
}

func indexKeyValue(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[7:]) ^ 1<<63) }

func indexBounds(index uint32) (lower, upper []byte) {
	return binary.BigEndian.AppendUint32([]byte{prefixIndex}, index),
		binary.BigEndian.AppendUint32([]byte{prefixIndex}, index+1)
}

func expiryKey(void uint32, number uint64) (key [13]byte) {
	key[0] = prefixExpiry
	binary.BigEndian.PutUint32(key[1:], void)
	binary.BigEndian.PutUint64(key[5:], number)
	return key
}

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

// sortKey orders digests as their record keys are ordered, near enough that
// what it calls equal is compared again.
func sortKey(digest *[digestBytes]byte) uint64 {
	return uint64(partitionOf(digest))<<52 | uint64(digest[1]>>4)<<48 |
		uint64(binary.BigEndian.Uint32(digest[2:]))<<16 | uint64(digest[6])<<8 | uint64(digest[7])
}
