package messages

// EventType is what a person did with an ad. The zero value is no event.
type EventType uint8

// The event types, in the order of the funnel.
const (
	Impression EventType = iota + 1
	Click
	Visit
	Conversion
)

// EventTypes lists every type there is, in the order of the funnel.
var EventTypes = [...]EventType{Impression, Click, Visit, Conversion}

// eventTypeNames and sourceFields are indexed by EventType.
var (
	eventTypeNames = [...]string{"", "impression", "click", "visit", "conversion"}
	sourceFields   = [...]string{"", "publisher", "publisher", "advertiser", "vendor"}
)

// ParseEventType reads the name as it stands in paths and bodies.
func ParseEventType[T string | []byte](name T) (EventType, bool) {
	for _, t := range EventTypes {
		if string(name) == eventTypeNames[t] {
			return t, true
		}
	}
	return 0, false
}

// String returns the name as it stands in paths and bodies, or "" for no event.
func (t EventType) String() string {
	if int(t) >= len(eventTypeNames) {
		return ""
	}
	return eventTypeNames[t]
}

// Valid tells whether t is one of EventTypes.
func (t EventType) Valid() bool { return t >= Impression && t <= Conversion }

// SourceField is the body's field that names who reported an event of this
// type: publisher for impression and click, advertiser for visit, vendor for
// conversion.
func (t EventType) SourceField() string {
	if int(t) >= len(sourceFields) {
		return ""
	}
	return sourceFields[t]
}

// Limits of one event. They bound what a single sender can make every later
// part hold; changing one changes no format.
const (
	// EventBytesMax bounds an event's JSON body as received.
	EventBytesMax = 16 << 10
	// SourceBytesMax bounds publisher, advertiser and vendor.
	SourceBytesMax = 256
	// UserAgentBytesMax bounds the User-Agent that is copied into a body.
	UserAgentBytesMax = 2 << 10
	// DepthMax bounds how deeply a body's values nest, the body itself being 1.
	DepthMax = 8
	// FieldsMax bounds how many fields a body has at all its levels together.
	FieldsMax = 128
)

// Event is one ad event that was found valid.
type Event struct {
	// ID is the client's, or derived from its idempotency key, or a new UUIDv7.
	ID EventID
	// Type is what happened; Body's "event" says the same.
	Type EventType
	// Tag is the ad tag; Body's "tag" says the same.
	Tag TagID
	// ReceivedAt is when adpulse received it, in milliseconds since the epoch.
	ReceivedAt int64
	// Source names the publisher, advertiser or vendor. It may be empty.
	Source string
	// Body is the event's data as one JSON object: valid UTF-8, compact, no
	// duplicate keys, userAgent included. It is encoded once, on receipt, and
	// carried as it is to the journal and to Kafka.
	Body []byte
}

// Size is what e counts against every bound that is in bytes: its variable
// part and a flat amount for the rest.
func (e *Event) Size() int { return len(e.Body) + len(e.Source) + eventOverhead }

// eventOverhead is what an event takes beside its body and source, rounded up:
// the struct in memory, and its fixed fields in a segment.
const eventOverhead = 96
