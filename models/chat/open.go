package chat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/heddle-ml/heddle/models/chat/jinja"
)

// ErrNoTemplate is wrapped by the error about a checkpoint that has no chat
// template.
var ErrNoTemplate = errors.New("no chat template")

// Files of a Hugging Face folder, in the order in which templates are looked
// for.
const (
	templateFile  = "chat_template.jinja"
	processorFile = "chat_template.json"
	configFile    = "tokenizer_config.json"
	variantsDir   = "additional_chat_templates"
)

// maxFile bounds the files read here. Real ones stay below 2 MB.
const maxFile = 64 << 20

// Open reads the chat template of a Hugging Face folder, from
// chat_template.jinja (with additional_chat_templates), chat_template.json or
// tokenizer_config.json, whichever is there first, and the special tokens from
// tokenizer_config.json.
func Open(dir string, limits Limits) (*Template, error) {
	return OpenFS(dir, os.DirFS(dir), limits)
}

// OpenFS is Open for a folder in fsys, such as an embedded one; dir names it
// in errors.
func OpenFS(dir string, fsys fs.FS, limits Limits) (*Template, error) {
	var config Object
	file := filepath.Join(dir, configFile)
	data, err := readFile(fsys, configFile)
	switch {
	case err == nil:
		if config, err = decodeObject(data); err != nil {
			return nil, fmt.Errorf("chat: %s: %w", file, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("chat: %s: %w", file, err)
	}
	tokens := specialTokens(config)

	file = filepath.Join(dir, templateFile)
	switch data, err := readFile(fsys, templateFile); {
	case err == nil:
		texts := map[string]string{defaultName: string(data)}
		if err := variants(dir, fsys, texts); err != nil {
			return nil, err
		}
		return newTemplate(file, texts, tokens, limits)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("chat: %s: %w", file, err)
	}

	file = filepath.Join(dir, processorFile)
	switch data, err := readFile(fsys, processorFile); {
	case err == nil:
		o, err := decodeObject(data)
		if err != nil {
			return nil, fmt.Errorf("chat: %s: %w", file, err)
		}
		return fromObject(file, o, tokens, limits)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("chat: %s: %w", file, err)
	}
	if config == nil {
		return nil, fmt.Errorf("chat: %s: %w: it holds neither %s nor %s nor %s", dir, ErrNoTemplate, templateFile, processorFile, configFile)
	}
	return fromObject(filepath.Join(dir, configFile), config, tokens, limits)
}

// FromConfig reads the chat template and the special tokens from the content
// of a tokenizer_config.json. The name appears in errors.
func FromConfig(name string, config []byte, limits Limits) (*Template, error) {
	o, err := decodeObject(config)
	if err != nil {
		return nil, fmt.Errorf("chat: %s: %w", name, err)
	}
	return fromObject(name, o, specialTokens(o), limits)
}

// fromObject takes the field chat_template of a JSON file: a text, or a list
// of named texts.
func fromObject(source string, o, tokens Object, limits Limits) (*Template, error) {
	field, _ := o.Get("chat_template")
	texts := map[string]string{}
	switch v := field.(type) {
	case nil:
		return nil, fmt.Errorf("chat: %s: %w: the field chat_template is missing; add one, or %s beside it", source, ErrNoTemplate, templateFile)
	case string:
		texts[defaultName] = v
	case []any:
		for i, item := range v {
			entry, _ := item.(Object)
			name, _ := entry.Get("name")
			text, _ := entry.Get("template")
			n, ok1 := name.(string)
			s, ok2 := text.(string)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("chat: %s: chat_template[%d]: expected an object with the texts name and template", source, i)
			}
			texts[n] = s
		}
		if len(texts) == 0 {
			return nil, fmt.Errorf("chat: %s: %w: the list chat_template is empty", source, ErrNoTemplate)
		}
	default:
		return nil, fmt.Errorf("chat: %s: chat_template must be a text or a list of named texts", source)
	}
	return newTemplate(source+": chat_template", texts, tokens, limits)
}

// variants adds the templates in a folder under their files' names.
func variants(dir string, fsys fs.FS, texts map[string]string) error {
	entries, err := fs.ReadDir(fsys, variantsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".jinja")
		if !ok {
			continue
		}
		data, err := readFile(fsys, path.Join(variantsDir, e.Name()))
		if err != nil {
			return fmt.Errorf("chat: %s: %w", filepath.Join(dir, variantsDir, e.Name()), err)
		}
		texts[name] = string(data)
	}
	return nil
}

// specialTokens returns the fields of a tokenizer_config.json that name a
// token, in their order. Each is a text or an object with the text as content.
func specialTokens(config Object) Object {
	var out Object
	for _, f := range config {
		if f.Name == "additional_special_tokens" {
			if list, ok := f.Value.([]any); ok {
				tokens := make([]any, 0, len(list))
				for _, v := range list {
					if s := tokenText(v); s != "" {
						tokens = append(tokens, s)
					}
				}
				out = append(out, Field{Name: f.Name, Value: tokens})
			}
		} else if strings.HasSuffix(f.Name, "_token") {
			if s := tokenText(f.Value); s != "" {
				out = append(out, Field{Name: f.Name, Value: s})
			}
		}
	}
	return out
}

func tokenText(v any) string {
	if o, ok := v.(Object); ok {
		v, _ = o.Get("content")
	}
	s, _ := v.(string)
	return s
}

func decodeObject(data []byte) (Object, error) {
	v, err := jinja.DecodeJSON(data)
	if err != nil {
		return nil, err
	}
	o, ok := v.(Object)
	if !ok {
		return nil, errors.New("expected a JSON object")
	}
	return o, nil
}

// readFile reads a regular file of bounded size. It looks before it opens: a
// named pipe would wait for a writer.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file")
	}
	var file fs.File
	if err == nil {
		file, err = fsys.Open(name)
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) { // callers name the file
			err = pe.Err
		}
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("is longer than %d bytes", maxFile)
	}
	return data, err
}
