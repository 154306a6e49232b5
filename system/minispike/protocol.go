package minispike

// Result codes of the protocol (as/include/base/proto.h of the server), those
// that minispike gives. One byte on the wire.
const (
	codeOK               byte = 0
	codeUnknown          byte = 1
	codeNotFound         byte = 2
	codeGeneration       byte = 3
	codeParameter        byte = 4
	codeExists           byte = 5
	codeBinExists        byte = 6
	codeIncompatibleType byte = 12
	codeTooBig           byte = 13
	codeUnsupported      byte = 16
	codeBinNotFound      byte = 17
	codeKeyMismatch      byte = 19
	codeNamespace        byte = 20
	codeBinName          byte = 21
	codeEnterpriseOnly   byte = 25
	codeOpNotApplicable  byte = 26
	codeFilteredOut      byte = 27
	codeSecurityDisabled byte = 52
	codeBatchMax         byte = 151
	codeIndexExists      byte = 200
	codeIndexNotFound    byte = 201
	codeIndexNotReadable byte = 203
	codeIndexMax         byte = 206
)

// Sizes of the protocol.
const (
	maxRecordBytes = 8 << 20
	maxBins        = 32767
	maxBinName     = 15
	maxSetName     = 63
	partitions     = 4096
	digestBytes    = 20
)

// Times of the protocol, in seconds.
const (
	epochSeconds        = 1262304000 // its second 0: 2010-01-01T00:00:00Z
	maxTTL              = 10 * 365 * 24 * 3600
	ttlDefault   uint32 = 0
	ttlNever     uint32 = 0xFFFFFFFF
	ttlKeep      uint32 = 0xFFFFFFFE
)

// Bits of a message's three information bytes.
const (
	info1Read       byte = 1 << 0
	info1GetAll     byte = 1 << 1
	info1ShortQuery byte = 1 << 2
	info1Batch      byte = 1 << 3
	info1NoBins     byte = 1 << 5

	info2Write         byte = 1 << 0
	info2Delete        byte = 1 << 1
	info2Generation    byte = 1 << 2
	info2GenerationGT  byte = 1 << 3
	info2DurableDelete byte = 1 << 4
	info2CreateOnly    byte = 1 << 5
	info2RespondAllOps byte = 1 << 7

	info3Last            byte = 1 << 0
	info3PartitionDone   byte = 1 << 2
	info3UpdateOnly      byte = 1 << 3
	info3CreateOrReplace byte = 1 << 4
	info3ReplaceOnly     byte = 1 << 5
)

// Field types of a message.
const (
	fieldNamespace     byte = 0
	fieldSet           byte = 1
	fieldKey           byte = 2
	fieldDigest        byte = 4
	fieldTransaction   byte = 5 // multi-record transaction
	fieldTaskID        byte = 7
	fieldSocketTimeout byte = 9
	fieldRecordsPerSec byte = 10
	fieldPartitions    byte = 11
	fieldDigests       byte = 12
	fieldMaxRecords    byte = 13
	fieldIndexValues   byte = 15
	fieldIndexName     byte = 21
	fieldIndexRange    byte = 22
	fieldIndexContext  byte = 23
	fieldIndexExp      byte = 24
	fieldIndexType     byte = 26
	fieldUDFPackage    byte = 30
	fieldUDFFunction   byte = 31
	fieldUDFOp         byte = 33
	fieldBinList       byte = 40
	fieldBatch         byte = 41
	fieldBatchSet      byte = 42
	fieldFilter        byte = 43
)

// Operation codes.
const (
	opRead       byte = 1
	opWrite      byte = 2
	opCDTRead    byte = 3
	opCDTModify  byte = 4
	opIncrement  byte = 5
	opExpRead    byte = 7
	opExpModify  byte = 8
	opAppend     byte = 9
	opPrepend    byte = 10
	opTouch      byte = 11
	opBitsRead   byte = 12
	opBitsModify byte = 13
	opDelete     byte = 14
	opHLLRead    byte = 15
	opHLLModify  byte = 16
)
