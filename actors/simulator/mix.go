package simulator

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"adpulse/messages"
)

// Mix is the proportion of impressions, clicks, visits and conversions.
type Mix [len(messages.EventTypes)]uint32

// The mixes that have names.
var (
	// reference is what the reference's publishers send.
	reference = Mix{25, 5, 3, 1}
	// realistic is a click in a thousand impressions, a conversion in fifty
	// clicks, and four visits for five clicks.
	realistic = Mix{50_000, 50, 40, 1}
)

// ParseMix reads "reference", "realistic", or four whole numbers, impressions,
// clicks, visits and conversions, such as 25:5:3:1.
func ParseMix(text string) (Mix, error) {
	switch text {
	case "reference":
		return reference, nil
	case "realistic":
		return realistic, nil
	}
	var mix Mix
	parts := strings.Split(text, ":")
	if len(parts) != len(mix) {
		return Mix{}, fmt.Errorf("mix %q: use reference, realistic, or impressions:clicks:visits:conversions", text)
	}
	for i, part := range parts {
		share, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return Mix{}, fmt.Errorf("mix %q: %q is no whole number", text, part)
		}
		mix[i] = uint32(share)
	}
	switch total := mix.total(); {
	case total == 0:
		return Mix{}, fmt.Errorf("mix %q: one share at least must be above 0", text)
	case total > math.MaxUint32:
		return Mix{}, fmt.Errorf("mix %q: the shares add up to more than %d", text, uint32(math.MaxUint32))
	}
	return mix, nil
}

func (m Mix) total() (total uint64) {
	for _, share := range m {
		total += uint64(share)
	}
	return total
}

// pick is the type that a random 32-bit number stands for.
func (m Mix) pick(random uint32) messages.EventType {
	at := uint64(random) * m.total() >> 32
	for i, share := range m {
		if at < uint64(share) {
			return messages.EventTypes[i]
		}
		at -= uint64(share)
	}
	return messages.Impression // a mix of nothing
}
