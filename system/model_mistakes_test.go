package system

// mistake is one that the model's world makes on the production code's behalf,
// to show that the model would find it.
type mistake uint8

const (
	none mistake = iota
	resumesWithoutTheTail
	believesInTheEnd
	readsUncommitted
	movesTheCheckpointFirst
	acknowledgesBeforeTheWrite
	fencesNobody
	takesReplaysForDuplicates
	forgetsIDs
	overwritesSegments
	trimsAhead
)
