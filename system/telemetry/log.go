package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// LogLevels and LogFormats are what NewLogger takes.
var (
	LogLevels  = []string{"debug", "info", "warn", "error"}
	LogFormats = []string{"console", "json"}
)

// NewLogger writes to w entries of the level and above: "console" for people,
// "json" for machines, one object a line. Nothing is sampled away and no stack
// traces are added. Writes to w are serialised.
func NewLogger(w io.Writer, level, format string) (*zap.Logger, error) {
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level %q: use %s", level, strings.Join(LogLevels, ", "))
	}
	keys := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "part", MessageKey: "message",
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	var encoder zapcore.Encoder
	switch format {
	case "json":
		encoder = zapcore.NewJSONEncoder(keys)
	case "console":
		keys.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		keys.EncodeLevel = zapcore.CapitalLevelEncoder
		keys.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(keys)
	default:
		return nil, fmt.Errorf("log format %q: use %s", format, strings.Join(LogFormats, ", "))
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), at)), nil
}

// Slog lets a library that logs with slog (Proto.Actor) write to log, under a
// name of its own.
func Slog(log *zap.Logger, name string) *slog.Logger {
	return slog.New(zapslog.NewHandler(log.Core(), zapslog.WithName(name), zapslog.AddStacktraceAt(slog.Level(127))))
}
