package telemetry

import (
	"runtime"
	"runtime/debug"
)

// Build tells one build of the program from another.
type Build struct {
	// Version is the module's, "devel" for a build from a working tree.
	Version string `json:"version"`
	// Commit is the revision it was built from, with "+changes" where the tree
	// had some, "unknown" for a build without version control (go run, tests).
	Commit string `json:"commit"`
	// Go is the toolchain's version.
	Go string `json:"go"`
	// Platform is "os/architecture".
	Platform string `json:"platform"`
	// Dependencies maps the modules that were linked to their versions.
	Dependencies map[string]string `json:"dependencies"`
}

// ReadBuild reads what the linker wrote into this program.
func ReadBuild() Build {
	b := Build{
		Version: "devel", Commit: "unknown",
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Dependencies: map[string]string{},
	}
	read, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := read.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	settings := map[string]string{}
	for _, s := range read.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		b.Commit = revision
		if settings["vcs.modified"] == "true" {
			b.Commit += "+changes"
		}
	}
	for _, d := range read.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		b.Dependencies[d.Path] = d.Version
	}
	return b
}
