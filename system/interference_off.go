//go:build !chaos

package system

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"adpulse/actors/exporter"
	"adpulse/system/edge"
	"adpulse/system/gateway"
	"adpulse/system/stream"
)

// interference is what a build with the tag chaos puts between the parts, so
// that the chaos harness can end or freeze the process at a named instant. This
// build has none.
type interference struct{}

func interfere(*zap.Logger) (*interference, error) { return nil, nil }

func (*interference) clock() func() time.Time                         { return time.Now }
func (*interference) store(s *edge.Store) edgeStore                   { return s }
func (*interference) stream(s *stream.Stream) exporter.Stream         { return exporterStream{s} }
func (*interference) hooks() []kgo.Hook                               { return nil }
func (*interference) submitter(s gateway.Submitter) gateway.Submitter { return s }
