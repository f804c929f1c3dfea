package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/models/ckpt/gguf"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/token"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type tokenizeFlags struct {
	model                               string
	ids, noSpecial, noAdd, decode, json bool
}

func (a *app) tokenizeCommand() *cobra.Command {
	var f tokenizeFlags
	cmd := &cobra.Command{
		Use:   "tokenize TEXT | --decode ID...",
		Short: "Turn text into tokens, and back",
		Long: `Shows the tokens of the whole TEXT, line ends included; with - all of standard
input is one text. Special tokens are put around it and recognised in it as the
model expects, unless --no-special is given. With --decode the way back: token
ids become text, written as it is; --no-special then leaves special tokens out.`,
		Example: `  heddle tokenize "What is left of the red circle?"
  heddle tokenize --model path/to/model --ids --no-special "<|im_start|>is only text here"
  heddle tokenize --model vocabulary.gguf - < story.txt
  heddle tokenize --decode 288 66 292`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.decode {
				return nil
			}
			return exactly(1, "TEXT")(nil, args)
		},
		RunE: a.action(func(ctx context.Context, args []string) error { return a.tokenize(ctx, &f, args) }),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.model, "model", "", "model `folder`, tokenizer.json, or .gguf file (default: the embedded demo model)")
	fl.BoolVar(&f.ids, "ids", false, "print the ids only, separated by blanks")
	fl.BoolVar(&f.noSpecial, "no-special", false, "take TEXT as plain text: add no special tokens and recognise none")
	fl.BoolVar(&f.noAdd, "no-add-special", false, "add no special tokens around TEXT, but recognise those in it")
	fl.BoolVar(&f.decode, "decode", false, "turn ids into text")
	fl.BoolVar(&f.json, "json", false, "print JSON: ids, pieces; text with --decode")
	cmd.MarkFlagsMutuallyExclusive("ids", "decode")
	cmd.MarkFlagsMutuallyExclusive("ids", "json")
	return cmd
}

// openTokenizer opens the tokenizer of a folder, a tokenizer.json, a GGUF
// file, or the demo model.
func openTokenizer(path string) (*token.Tokenizer, error) {
	if path == "" {
		data, err := demo.FS.ReadFile("tokenizer.json")
		if err != nil {
			return nil, err
		}
		return token.FromJSON(data)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, cause(err))
	}
	switch {
	case info.IsDir():
		return token.Open(path)
	case strings.EqualFold(filepath.Ext(path), ".gguf"):
		f, err := gguf.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		t, err := token.FromGGUF(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", path, message(err))
		}
		return t, nil
	case filepath.Base(path) == "tokenizer.json":
		return token.Open(filepath.Dir(path)) // with the settings beside it
	case strings.EqualFold(filepath.Ext(path), ".json"):
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, cause(err))
		}
		t, err := token.FromJSON(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", path, message(err))
		}
		return t, nil
	}
	return nil, fmt.Errorf("model %s: want a model folder, a tokenizer.json or a .gguf file", path)
}

// maxText bounds what is read from standard input.
const maxText = 64 << 20

func (a *app) readText(ctx context.Context) (string, error) {
	data, err := io.ReadAll(io.LimitReader(a.stdin(ctx), maxText+1))
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	if len(data) > maxText {
		return "", fmt.Errorf("standard input is longer than %s: split it", tty.Bytes(maxText))
	}
	return string(data), nil
}

func (a *app) tokenize(ctx context.Context, f *tokenizeFlags, args []string) error {
	if f.decode {
		return a.detokenize(ctx, f, args)
	}
	text := args[0]
	if text == "-" {
		var err error
		if text, err = a.readText(ctx); err != nil {
			return err
		}
	}
	t, err := openTokenizer(f.model)
	if err != nil {
		return err
	}
	ids, err := t.Encode(text, token.EncodeOptions{AddSpecial: !f.noSpecial && !f.noAdd, ParseSpecial: !f.noSpecial})
	if err != nil {
		return err
	}
	if f.ids {
		words := make([]string, len(ids))
		for i, id := range ids {
			words[i] = strconv.Itoa(int(id))
		}
		_, err := fmt.Fprintln(a.out, strings.Join(words, " "))
		return err
	}
	pieces := make([]string, len(ids))
	for i, id := range ids {
		pieces[i], _ = t.Piece(id)
	}
	if f.json {
		if ids == nil {
			ids = []int32{}
		}
		return a.json(struct {
			IDs    []int32  `json:"ids"`
			Pieces []string `json:"pieces"`
		}{ids, pieces})
	}
	tab := &tty.Table{Right: []int{0}}
	for i, id := range ids {
		special := ""
		if t.IsSpecial(id) {
			special = a.out.Dim("special")
		}
		tab.Row(strconv.Itoa(int(id)), strconv.Quote(pieces[i]), special)
	}
	if err := tab.Write(a.out); err != nil {
		return err
	}
	if a.err.Terminal {
		a.note("%s, %s", tty.Plural(len(ids), "token"), tty.Plural(len([]rune(text)), "character"))
	}
	return nil
}

func (a *app) detokenize(ctx context.Context, f *tokenizeFlags, args []string) error {
	if len(args) == 1 && args[0] == "-" {
		text, err := a.readText(ctx)
		if err != nil {
			return err
		}
		args = strings.Fields(text)
	}
	t, err := openTokenizer(f.model)
	if err != nil {
		return err
	}
	ids := make([]int32, 0, len(args))
	for _, arg := range args {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return usagef("%q is not a token id: write numbers from 0 to %d", arg, t.Size()-1)
		}
		if err != nil || n < 0 || n >= int64(t.Size()) {
			return fmt.Errorf("token id %s is out of range: the vocabulary has ids from 0 to %d", arg, t.Size()-1)
		}
		ids = append(ids, int32(n))
	}
	text, err := t.Decode(ids, f.noSpecial)
	if err != nil {
		return err
	}
	if f.json {
		return a.json(struct {
			Text string `json:"text"`
		}{text})
	}
	if a.out.Terminal {
		text += "\n"
	}
	_, err = io.WriteString(a.out, text)
	return err
}
