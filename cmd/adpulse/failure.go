package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"adpulse/system"
)

// Exit codes, as --help tells them.
const (
	exitOK      = 0
	exitRuntime = 1 // it failed while it ran
	exitUsage   = 2 // it did not start: a command, flag or setting is at fault
	exitDiffer  = 3 // verify found something wrong
)

// exitCodes is what --help says about them.
const exitCodes = `Exit codes:
  0  done as asked
  1  failed while it ran: a dependency that went away, a drain cut short
  2  did not start, and the message names the flag: an unknown one, an impossible value,
     a port in use, a directory that is not adpulse's, a cluster that does not answer
  3  verify found an event lost, or there twice`

// failure is an error for a person: what is wrong in one line, what to do about
// it in another, and the exit code.
type failure struct {
	code          int
	problem, hint string
}

// Error implements error.
func (f *failure) Error() string { return f.problem }

// usage is a failure of the command line or of a setting.
func usage(problem, hint string) error { return &failure{exitUsage, problem, hint} }

// report tells the person what went wrong and returns the exit code.
func (p *program) report(err error) int {
	code, hint := exitRuntime, ""
	var own *failure
	var flag *system.FlagError
	switch {
	case errors.As(err, &own):
		code, hint = own.code, own.hint
	case errors.As(err, &flag):
		code, hint = exitUsage, flag.Hint
	}
	fmt.Fprintf(p.stderr, "adpulse: %s\n", oneLine(err.Error()))
	if hint != "" {
		fmt.Fprintf(p.stderr, "         %s\n", oneLine(hint))
	}
	return code
}

// oneLine joins the lines of joined errors.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// badFlag says in a person's words what pflag found.
func badFlag(c *cobra.Command, err error) error {
	hint := fmt.Sprintf("`%s --help` lists the flags", c.CommandPath())
	var (
		invalid  *pflag.InvalidValueError
		missing  *pflag.ValueRequiredError
		notExist *pflag.NotExistError
	)
	switch {
	case errors.As(err, &invalid):
		return badValue(invalid.GetFlag(), invalid.GetValue(), "", invalid.Unwrap())
	case errors.As(err, &missing):
		return usage(fmt.Sprintf("--%s needs a value", missing.GetSpecifiedName()), hint)
	case errors.As(err, &notExist):
		name := notExist.GetSpecifiedName()
		if meant := closest(name, flagNames(c.Flags())); meant != "" {
			hint = "did you mean --" + meant + "?"
		} else if secretNames[name] {
			hint = "secrets come from the environment (" + variable(name) + ") or the file (--config), never from flags"
		}
		return usage(fmt.Sprintf("%s has no flag %q", c.CommandPath(), name), hint)
	}
	return usage(err.Error(), hint)
}

// badValue says which setting cannot take a value, and where the value stood
// when it was not on the command line.
func badValue(f *pflag.Flag, value, where string, cause error) error {
	problem := fmt.Sprintf("--%s: %q is not %s", f.Name, value, kindOf(f, cause))
	if where != "" {
		problem += " (" + where + ")"
	}
	_, meaning := pflag.UnquoteUsage(f)
	return usage(problem, fmt.Sprintf("--%s: %s", f.Name, meaning))
}

func kindOf(f *pflag.Flag, cause error) string {
	switch f.Value.Type() {
	case "int", "int64":
		return "a whole number"
	case "uint64":
		return "a whole number from 0 up"
	case "float64":
		return "a number"
	case "duration":
		return "a duration such as 250ms, 30s or 1h30m"
	case "bool":
		return "true or false"
	case "choice":
		return "one of " + strings.Join(f.Value.(*choice).allowed, ", ")
	}
	return "possible: " + cause.Error()
}
