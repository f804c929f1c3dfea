package safetensors

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// The names under which Hugging Face folders hold a checkpoint.
const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// Set is a checkpoint of one or more files seen as one: each tensor name
// belongs to exactly one file. The concurrency rules are those of [File].
type Set struct {
	files   []*File
	entries []entry // by name
}

type entry struct {
	file   *File
	tensor Tensor
}

// OpenSharded opens the checkpoint in a Hugging Face folder: model.safetensors,
// or the shards that model.safetensors.index.json lists. Where both exist the
// single file is used, as Hugging Face does. With an index the set holds
// exactly the tensors of its weight_map; a shard that is missing, lies outside
// the folder or lacks a promised tensor is an error naming file and tensor.
func OpenSharded(dir string) (*Set, error) {
	single := filepath.Join(dir, singleName)
	// Lstat: a dangling link is to be reported as such, not passed over.
	if _, err := os.Lstat(single); err == nil {
		f, err := Open(single)
		if err != nil {
			return nil, err
		}
		return NewSet(f)
	}
	path := filepath.Join(dir, indexName)
	index, err := readIndex(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("safetensors: %s holds neither %s nor %s: name a folder with a checkpoint in the safetensors format", dir, singleName, indexName)
	}
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return openIndexed(dir, path, index)
}

// NewSet joins open files into a set, which then owns them: closing the set
// closes them. A name that two files hold is an error. On error all files are
// closed.
func NewSet(files ...*File) (*Set, error) {
	s := &Set{files: files}
	for _, f := range files {
		for _, t := range f.Tensors() {
			s.entries = append(s.entries, entry{f, t})
		}
	}
	s.sort()
	for i := 1; i < len(s.entries); i++ {
		if a, b := s.entries[i-1], s.entries[i]; a.tensor.Name == b.tensor.Name {
			_ = s.Close()
			return nil, fmt.Errorf("safetensors: tensor %s is in both %s and %s: remove one of the files", clip(a.tensor.Name), a.file.name, b.file.name)
		}
	}
	return s, nil
}

// indexEntry is one line of a weight_map.
type indexEntry struct{ tensor, shard string }

// readIndex reads the weight_map of an index file, in file order.
func readIndex(path string) ([]indexEntry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxHeader+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(text) > maxHeader {
		return nil, fmt.Errorf("index is longer than %d bytes", maxHeader)
	}
	return parseIndex(text)
}

func parseIndex(text []byte) ([]indexEntry, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("index is not valid UTF-8: the file is damaged")
	}
	var entries []indexEntry
	found := false
	dec := newDecoder(text)
	err := object(dec, "index", func(key string) error {
		if key != "weight_map" {
			var ignored any
			if err := dec.Decode(&ignored); err != nil {
				return fmt.Errorf("%s: %w", clip(key), eof(err))
			}
			return nil
		}
		found = true
		return object(dec, "weight_map", func(tensor string) error {
			shard, err := stringValue(dec)
			if err != nil {
				return fmt.Errorf("weight_map %s: %w", clip(tensor), err)
			}
			if !insideName(shard) {
				return fmt.Errorf("weight_map %s: shard %s must be the name of a .safetensors file inside the folder", clip(tensor), clip(shard))
			}
			entries = append(entries, indexEntry{tensor, shard})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("index: something follows the JSON object: the file is damaged")
	}
	if !found {
		return nil, errors.New("index: field weight_map is missing")
	}
	return entries, nil
}

// insideName reports whether a shard's name cannot leave the folder, on any
// platform: an index that is safe here must not become unsafe elsewhere. Links
// are allowed, because download caches are made of them.
func insideName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") &&
		filepath.IsLocal(filepath.FromSlash(name)) &&
		!strings.ContainsAny(name, "\\:\x00")
}

func openIndexed(dir, indexPath string, index []indexEntry) (s *Set, err error) {
	s = &Set{}
	defer func() {
		if err != nil {
			_ = s.Close()
			s = nil
		}
	}()
	open := map[string]*File{}
	for _, e := range index {
		f := open[e.shard]
		if f == nil {
			f, err = Open(filepath.Join(dir, filepath.FromSlash(e.shard)))
			if errors.Is(err, fs.ErrNotExist) {
				return s, fmt.Errorf("%w: %s promises tensor %s in it; fetch the missing shard", err, indexPath, clip(e.tensor))
			}
			if err != nil {
				return s, err
			}
			open[e.shard] = f
			s.files = append(s.files, f)
		}
		t, ok := f.Lookup(e.tensor)
		if !ok {
			return s, fmt.Errorf("safetensors: %s: tensor %s is missing, which %s promises: the shard and the index do not belong together", f.name, clip(e.tensor), indexPath)
		}
		s.entries = append(s.entries, entry{f, t})
	}
	s.sort()
	return s, nil
}

func (s *Set) sort() {
	slices.SortStableFunc(s.entries, func(a, b entry) int { return cmp.Compare(a.tensor.Name, b.tensor.Name) })
}

// Files returns the open files of the set. The caller must not change the slice.
func (s *Set) Files() []*File { return s.files }

// Names returns the names of all tensors, sorted.
func (s *Set) Names() []string {
	names := make([]string, len(s.entries))
	for i := range s.entries {
		names[i] = s.entries[i].tensor.Name
	}
	return names
}

// Lookup returns the tensor of that name and the file it lies in.
func (s *Set) Lookup(name string) (*File, Tensor, bool) {
	i, ok := slices.BinarySearchFunc(s.entries, name, func(e entry, name string) int { return cmp.Compare(e.tensor.Name, name) })
	if !ok {
		return nil, Tensor{}, false
	}
	return s.entries[i].file, s.entries[i].tensor, true
}

// Close closes every file. Closing twice is harmless.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// reason strips the path from an os error: callers name the file themselves.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
