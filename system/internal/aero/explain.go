package aero

import (
	"errors"

	as "github.com/aerospike/aerospike-client-go/v7"
	"github.com/aerospike/aerospike-client-go/v7/types"
)

// Error is a failure of Aerospike in one line. The client's own error is in
// its chain.
type Error struct {
	// Code is the result code that tells most: the server's, where it sent one.
	Code  types.ResultCode
	text  string
	cause error
}

func (e *Error) Error() string { return e.text }

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.cause }

// Explain makes the client's error readable, and leaves others as they are.
func Explain(err error) error {
	var failure as.Error
	if !errors.As(err, &failure) {
		return err
	}
	code := telling(failure)
	text, known := texts[code]
	if !known {
		text = "Aerospike: " + types.ResultCodeToString(code)
	}
	return &Error{Code: code, text: text, cause: err}
}

// Reason explains a bare result code, as batches have it for each record.
func Reason(code types.ResultCode) error {
	if text, known := texts[code]; known {
		return &Error{Code: code, text: text}
	}
	return &Error{Code: code, text: "Aerospike: " + types.ResultCodeToString(code)}
}

// telling is the code in a chain that says most: "too many tries" says less
// than what the last try met.
func telling(err as.Error) types.ResultCode {
	code := types.COMMON_ERROR
	for err := error(err); err != nil; err = errors.Unwrap(err) {
		failure, ok := err.(*as.AerospikeError) //nolint:errorlint // walks the chain itself
		if !ok {
			continue
		}
		switch failure.ResultCode {
		case types.MAX_RETRIES_EXCEEDED, types.COMMON_ERROR, types.BATCH_FAILED:
			if code == types.COMMON_ERROR {
				code = failure.ResultCode
			}
			continue
		default:
			return failure.ResultCode
		}
	}
	return code
}

// texts are the failures that an operator meets, with what to look at.
var texts = map[types.ResultCode]string{
	types.TIMEOUT:                          "Aerospike did not answer in time",
	types.NETWORK_ERROR:                    "connection to Aerospike lost or refused",
	types.NO_RESPONSE:                      "connection to Aerospike lost or refused",
	types.INVALID_NODE_ERROR:               "no Aerospike server can be reached",
	types.SERVER_NOT_AVAILABLE:             "no Aerospike server can be reached",
	types.MAX_RETRIES_EXCEEDED:             "no Aerospike server can be reached",
	types.PARAMETER_ERROR:                  "Aerospike refused a parameter, or no server can be reached",
	types.NO_AVAILABLE_CONNECTIONS_TO_NODE: "every connection to Aerospike is in use, or none can be made",
	types.MAX_ERROR_RATE:                   "too many errors from an Aerospike server; it is left alone for a second",
	types.SERVER_MEM_ERROR:                 "Aerospike is full (stop-writes); free space or let events expire",
	types.DEVICE_OVERLOAD:                  "Aerospike's device cannot keep up with the writes",
	types.KEY_BUSY:                         "record is busy in Aerospike",
	types.PARTITION_UNAVAILABLE:            "partition is unavailable in Aerospike",
	types.RECORD_TOO_BIG:                   "record is larger than the namespace takes (max-record-size)",
	types.INVALID_NAMESPACE:                "namespace does not exist in Aerospike",
	types.FAIL_FORBIDDEN:                   "Aerospike forbids it; a time to live needs nsup-period in the namespace",
	types.UNSUPPORTED_FEATURE:              "this Aerospike server does not support it",
	types.NOT_AUTHENTICATED:                "Aerospike wants a login, or does not accept it",
	types.INVALID_USER:                     "Aerospike does not know the user",
	types.INVALID_PASSWORD:                 "Aerospike does not accept the password",
	types.INVALID_CREDENTIAL:               "Aerospike does not accept the login",
	types.ROLE_VIOLATION:                   "user lacks the role in Aerospike",
	types.BATCH_QUEUES_FULL:                "Aerospike's batch queues are full",
	types.BATCH_DISABLED:                   "batches are disabled in Aerospike",
	types.BATCH_MAX_REQUESTS_EXCEEDED:      "batch is larger than Aerospike takes (batch-max-requests)",
	types.GENERATION_ERROR:                 "record was changed by somebody else",
	types.KEY_EXISTS_ERROR:                 "record exists already",
}
