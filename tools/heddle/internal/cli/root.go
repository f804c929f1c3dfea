package cli

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Groups of commands in the help.
const (
	groupAsk   = "ask"
	groupJudge = "judge"
	groupLook  = "look"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "heddle",
		Short: "Runs multimodal models on the processors at hand",
		Long: `heddle runs multimodal language models: pictures and text in, text out, on the
processors that a machine has.

A model is a folder in Hugging Face layout (config.json, *.safetensors,
tokenizer.json, ...). Without --model a small demo model runs that is part of
this program: it knows coloured shapes, short texts and bar charts.`,
		Example: `  heddle run --image models/demo/examples/shapes.png "What is right of the yellow star?"
  heddle devices
  heddle inspect`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	width := a.out.Width()
	if width < 60 {
		width = 100
	}
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages ", fmt.Sprintf("Flags.FlagUsagesWrapped %d ", width)))
	root.AddGroup(
		&cobra.Group{ID: groupAsk, Title: "Ask a model:"},
		&cobra.Group{ID: groupJudge, Title: "Judge a model or a device:"},
		&cobra.Group{ID: groupLook, Title: "Look inside:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupAsk, a.runCommand(), a.chatCommand())
	add(groupJudge, a.evalCommand(), a.checkCommand(), a.conformCommand())
	add(groupLook, a.inspectCommand(), a.devicesCommand(), a.tilesCommand(), a.tokenizeCommand(), a.exportCommand())
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	root.SuggestionsMinimumDistance = 2
	if like := root.SuggestionsFor(name); len(like) > 0 {
		return usagef("unknown command %q (did you mean %s?)", name, strings.Join(like, " or "))
	}
	return usagef("unknown command %q", name)
}

// version tells from what the program was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown version)"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "(development)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
			v += " " + s.Value[:12]
		}
	}
	return fmt.Sprintf("%s %s", v, info.GoVersion)
}

// exactly, atMost and noArgs are cobra's checks of the number of arguments,
// in words that say what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usagef("%s is missing", what)
		case len(args) > n:
			return usagef("%q is one argument too many: put quotes around a text with blanks", args[n])
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%q is one argument too many", args[n])
		}
		return nil
	}
}
