package messages

// Refusal is the error for bad input: the field at fault and what is wrong with
// it, in words for the person who sent it. Nothing of the input was kept.
type Refusal struct {
	// Field is the field's path in the input ("tag", "geo[1]"), a header's or
	// parameter's name, or "body" for the input as a whole.
	Field string
	// Problem completes the sentence "<field>: …".
	Problem string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Field + ": " + r.Problem }
