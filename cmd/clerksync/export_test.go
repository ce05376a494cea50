package main

// What the external tests need of a command, which nobody can import.
var (
	Main     = main
	ExitCode = exitCode
	ErrDrift = errDrift
)

type (
	Mistake = mistake
	Secret  = secret
)

// Setting is a row of the table of settings.
type Setting struct {
	Name, Old, Default, Meaning, Flag string
	Secret                            bool
}

// Settings returns the table of settings.
func Settings() (rows []Setting) {
	for _, s := range table {
		row := Setting{Name: s.name, Old: s.old, Default: s.value, Meaning: s.meaning, Secret: s.secret}
		if !s.secret {
			row.Flag = "--" + s.flag()
		}
		rows = append(rows, row)
	}
	return rows
}

// NotYet returns the names of settings that do nothing yet.
func NotYet() []string { return notYet }
