package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settle gives every setting its value. Its sources, each stronger than the one
// before: the default, the file of --config, the environment, the command line.
// known holds the names that a file may set; one file serves all commands, so
// it may name what this command does not have. secrets may be nil.
func settle(flags, secrets *pflag.FlagSet, environ []string, known map[string]bool) error {
	variables := koanf.New(noPath)
	if err := variables.Load(env.Provider(noPath, env.Opt{
		Prefix: variablePrefix, TransformFunc: fromVariable, EnvironFunc: func() []string { return environ },
	}), nil); err != nil {
		return usage("environment: "+err.Error(), "")
	}
	config := flags.Lookup("config")
	path := config.Value.String()
	if !config.Changed && variables.Exists(config.Name) {
		path = variables.String(config.Name)
	}
	settings, err := readSettings(path, known)
	if err != nil {
		return err
	}
	if err := settings.Merge(variables); err != nil {
		return usage("environment: "+err.Error(), "")
	}
	var failed error
	settleOne := func(f *pflag.Flag) {
		if failed != nil || f.Changed || f.Name == config.Name || f.Name == "help" || !settings.Exists(f.Name) {
			return
		}
		where := path
		if variables.Exists(f.Name) {
			where = "environment " + variable(f.Name)
		}
		value, ok := text(settings.Get(f.Name))
		if !ok {
			failed = usage(fmt.Sprintf("--%s: takes a value or a list of values (%s)", f.Name, where),
				fmt.Sprintf("write %q on one line", f.Name+": value"))
		} else if err := f.Value.Set(value); err != nil {
			failed = badValue(f, value, where, err)
		}
	}
	flags.VisitAll(settleOne)
	if secrets != nil {
		secrets.VisitAll(settleOne)
	}
	return failed
}

// noPath is a delimiter that no name of a setting contains: settings are flat.
const noPath = "\x00"

const variablePrefix = "ADPULSE_"

// variable is the environment variable of a setting.
func variable(name string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fromVariable is the setting of an environment variable; an empty one is unset.
func fromVariable(name, value string) (string, any) {
	if value == "" {
		return "", nil
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, variablePrefix), "_", "-")), value
}

// readSettings reads a YAML mapping of names to values; path may be empty.
// What is not known is refused.
func readSettings(path string, known map[string]bool) (*koanf.Koanf, error) {
	settings := koanf.New(noPath)
	if path == "" {
		return settings, nil
	}
	if err := settings.Load(file.Provider(path), yaml.Parser()); err != nil {
		if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
			return nil, usage(fmt.Sprintf("--config: cannot read %s: %v", path, pathErr.Err), "name a YAML file, or leave --config away")
		}
		return nil, usage(fmt.Sprintf("--config: %s: %v", path, err), `write one setting a line, for instance "mailbox: 8192"`)
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Raw())) {
		if known[name] {
			continue
		}
		hint := "settings are named as the flags of `adpulse run --help` are"
		if meant := closest(name, known); meant != "" {
			hint = "did you mean " + meant + "?"
		}
		return nil, usage(fmt.Sprintf("--config: %s: unknown setting %q", path, name), hint)
	}
	return settings, nil
}

// text is a value as it would stand on a command line: the items of a list are
// separated by commas, a float is written without an exponent.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case []any:
		words := make([]string, len(v))
		for i := range v {
			if _, list := v[i].([]any); list {
				return "", false
			}
			word, ok := text(v[i])
			if !ok {
				return "", false
			}
			words[i] = word
		}
		return strings.Join(words, ","), true
	case map[string]any, map[any]any:
		return "", false
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return fmt.Sprint(value), true
}

// knownSettings are the names that a file may set: the flags of all commands,
// and the secrets.
func knownSettings(root *cobra.Command) map[string]bool {
	known := map[string]bool{}
	for _, c := range root.Commands() {
		if c.Name() == "completion" || c.Name() == "help" {
			continue
		}
		for name := range flagNames(c.Flags()) {
			known[name] = true
		}
	}
	for name := range secretNames {
		known[name] = true
	}
	delete(known, "config")
	delete(known, "help")
	return known
}

func flagNames(f *pflag.FlagSet) map[string]bool {
	names := map[string]bool{}
	f.VisitAll(func(flag *pflag.Flag) { names[flag.Name] = true })
	return names
}

// closest is the name that a mistyped one probably meant, or "".
func closest(typed string, names map[string]bool) string {
	best, distance := "", 3
	for name := range names {
		if d := edits(typed, name); d < distance || d == distance && best != "" && name < best {
			best, distance = name, d
		}
	}
	return best
}

// edits is the number of characters to insert, delete or replace to make one
// word of the other.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := slices.Min([]int{diagonal + cost, row[j] + 1, row[j+1] + 1})
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
