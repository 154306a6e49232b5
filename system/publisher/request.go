package publisher

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"adpulse/messages"
)

// answerBytesMax bounds how much of a refusal is repeated.
const answerBytesMax = 512

// refusal is an answer that no retry mends.
type refusal struct {
	status int
	text   string
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("answered %d: %s", r.status, r.text) }

// again is an outcome that asks for another try with the same ids.
type again struct {
	cause error
	after time.Duration // 0: the caller's own delay
}

// Error implements error.
func (a *again) Error() string { return a.cause.Error() }

// Unwrap returns the cause.
func (a *again) Unwrap() error { return a.cause }

// deliver tries until the events are acknowledged or refused, or time is up.
// The ids stay the same, so that a repeated try counts once.
func (c *connection) deliver(ctx context.Context, events []messages.Event) error {
	config := &c.run.config
	ctx, cancel := context.WithTimeout(ctx, config.GiveUpAfter)
	defer cancel()
	path, contentType := "/events", "application/x-ndjson"
	if config.Batch == 1 {
		path, contentType = "/event/"+events[0].Type.String(), "application/json"
	}
	c.body = appendBodies(c.body[:0], events)
	delay := config.RetryDelay
	for {
		err := c.try(ctx, path, contentType)
		retry, ok := err.(*again) //nolint:errorlint // try returns it bare
		if !ok {
			return err
		}
		wait := retry.after
		if wait == 0 {
			wait = delay
			delay = min(2*delay, config.RetryDelayMax)
		}
		if err := sleep(ctx, min(wait, config.RetryDelayMax)); err != nil {
			return fmt.Errorf("given up: %w", retry.cause)
		}
		c.count.Retries++
		c.run.progress.Retries.Add(1)
	}
}

// appendBodies appends one line an event: its body with the id in it.
func appendBodies(dst []byte, events []messages.Event) []byte {
	for i := range events {
		e := &events[i]
		dst = append(dst, e.Body[:len(e.Body)-1]...)
		dst = append(dst, `,"event_id":"`...)
		dst = e.ID.AppendText(dst)
		dst = append(dst, "\"}\n"...)
	}
	return dst
}

// try posts the body once. Its error is a *refusal, an *again, or nil.
func (c *connection) try(ctx context.Context, path, contentType string) error {
	ctx, cancel := context.WithTimeout(ctx, c.run.config.RequestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.run.target+path, bytes.NewReader(c.body))
	if err != nil {
		return &refusal{0, err.Error()}
	}
	request.Header.Set("Content-Type", contentType)
	// The body names the simulated person's agent; the client adds none.
	request.Header.Set("User-Agent", "")
	response, err := c.run.client.Do(request)
	if err != nil {
		return &again{cause: err}
	}
	defer func() { _ = response.Body.Close() }() // it was read to its end, or failed
	start, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	if err == nil {
		// Read to the end, so that the connection is used again.
		_, err = io.Copy(io.Discard, response.Body)
	}
	status := response.StatusCode
	switch {
	case status >= 200 && status < 300:
		if err != nil {
			return &again{cause: fmt.Errorf("read the answer: %w", err)}
		}
		return nil
	case status == http.StatusTooManyRequests || status >= 500:
		return &again{cause: fmt.Errorf("answered %d: %s", status, strings.TrimSpace(string(start))), after: retryAfter(response)}
	}
	return &refusal{status, strings.TrimSpace(string(start))}
}

// retryAfter is what the answer asks to wait, or 0.
func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
