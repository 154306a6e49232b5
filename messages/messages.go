// Package messages is adpulse's vocabulary: what an ad event is and when it is
// valid, how events lie in a journal segment, and what actors say to each other.
//
// It is the root of the dependency rule (cmd → system → actors → messages): it
// does no input or output, knows no actor and no driver, and every other
// package may import it. Values are plain; unless a type says otherwise they
// may be read concurrently and must not be changed once they have been sent.
package messages
