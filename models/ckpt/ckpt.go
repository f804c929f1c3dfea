package ckpt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
)

// Checkpoint is an open checkpoint. Its methods are safe for concurrent use
// until Close. It is a graph.FileData: its sources are its weight files.
type Checkpoint struct {
	name    string
	files   fs.FS
	set     *safetensors.Set
	sources []graph.Source
	data    map[string]*safetensors.File
	tensors map[string]graph.Part
	odd     map[string]safetensors.DType // tensors stored in types that no graph has
}

// ErrNoTensor is wrapped by errors about a tensor that is not there.
var ErrNoTensor = errors.New("the checkpoint has no such tensor")

// Open opens the folder at path. Errors name the file.
func Open(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("ckpt: model %s: %w", path, pathless(err))
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("ckpt: model %s is a file; want a folder with config.json and *.safetensors", path)
	}
	set, err := safetensors.OpenSharded(path)
	if err != nil {
		return nil, fmt.Errorf("ckpt: %w", err)
	}
	return index(path, os.DirFS(path), set)
}

// FromFS opens a checkpoint of one weight file, model.safetensors, in fsys,
// such as an embedded one. The name appears in errors.
func FromFS(name string, fsys fs.FS) (*Checkpoint, error) {
	data, err := fs.ReadFile(fsys, "model.safetensors")
	if err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w: the weights have to be in it", filepath.Join(name, "model.safetensors"), pathless(err))
	}
	f, err := safetensors.New("model.safetensors", data)
	if err != nil {
		return nil, fmt.Errorf("ckpt: model %s: %w", name, err)
	}
	set, err := safetensors.NewSet(f)
	if err != nil {
		return nil, fmt.Errorf("ckpt: model %s: %w", name, err)
	}
	return index(name, fsys, set)
}

var elems = map[safetensors.DType]enc.Elem{
	safetensors.F64: enc.F64, safetensors.F32: enc.F32, safetensors.F16: enc.F16, safetensors.BF16: enc.BF16,
	safetensors.I64: enc.I64, safetensors.I32: enc.I32, safetensors.I16: enc.I16, safetensors.I8: enc.I8,
	safetensors.U64: enc.U64, safetensors.U32: enc.U32, safetensors.U16: enc.U16, safetensors.U8: enc.U8, safetensors.Bool: enc.Bool,
}

func index(name string, files fs.FS, set *safetensors.Set) (*Checkpoint, error) {
	c := &Checkpoint{name: name, files: files, set: set, data: map[string]*safetensors.File{}, tensors: map[string]graph.Part{}, odd: map[string]safetensors.DType{}}
	sources := map[*safetensors.File]string{}
	for _, f := range set.Files() {
		source := f.Name()
		if inside, err := filepath.Rel(name, source); err == nil && filepath.IsLocal(inside) {
			source = filepath.ToSlash(inside) // the index may name files in folders
		}
		c.data[source], sources[f] = f, source
		ident := sha256.New()
		for _, t := range f.Tensors() {
			fmt.Fprintf(ident, "%s %s %v %d\n", t.Name, t.DType, t.Shape, t.Offset)
		}
		digest(ident, f)
		c.sources = append(c.sources, graph.Source{Name: source, Size: f.Size(), ID: hex.EncodeToString(ident.Sum(nil))[:32]})
	}
	for _, n := range set.Names() {
		f, t, _ := set.Lookup(n)
		e, ok := elems[t.DType]
		if !ok {
			c.odd[n] = t.DType // an error when somebody wants it
			continue
		}
		c.tensors[n] = graph.Part{Source: sources[f], Offset: t.Offset, Elem: e, Shape: t.Shape}
	}
	sort.Slice(c.sources, func(i, j int) bool { return c.sources[i].Name < c.sources[j].Name })
	return c, nil
}

// Files up to wholeFile bytes are identified by all their bytes. Of larger
// ones every tensor gives three pieces: enough to tell a retrained model from
// its predecessor without reading gigabytes.
const (
	wholeFile = 16 << 20
	piece     = 512
)

// digest adds a file's weights to its identity.
func digest(h hash.Hash, f *safetensors.File) { // a hash's Write never fails
	if f.Size() <= wholeFile {
		h.Write(f.Data())
		return
	}
	for _, t := range f.Tensors() {
		b := f.Bytes(t)
		for _, at := range []int{0, len(b) / 2, len(b) - piece} {
			at = max(0, at)
			h.Write(b[at:min(len(b), at+piece)])
		}
	}
}

// Name returns the path or name the checkpoint was opened under.
func (c *Checkpoint) Name() string { return c.name }

// ReadFile returns a small file of the checkpoint, such as config.json. An
// absent file is an error wrapping fs.ErrNotExist; one over 64 MB is refused.
func (c *Checkpoint) ReadFile(name string) ([]byte, error) {
	info, err := fs.Stat(c.files, name)
	switch {
	case err != nil:
	case !info.Mode().IsRegular(): // a pipe would wait for a writer
		err = errors.New("not a regular file")
	case info.Size() > maxFile:
		err = fmt.Errorf("%d bytes; at most %d are read", info.Size(), maxFile)
	}
	var b []byte
	if err == nil {
		b, err = fs.ReadFile(c.files, name)
	}
	if err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w", c.Path(name), pathless(err))
	}
	return b, nil
}

// maxFile bounds the files that are read whole. The largest tokenizers have
// 35 MB.
const maxFile = 64 << 20

// pathless strips the path from an error of the file system: callers name the
// file in full.
func pathless(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// FS returns the checkpoint's files.
func (c *Checkpoint) FS() fs.FS { return c.files }

// Path returns how a file of the checkpoint is named in messages.
func (c *Checkpoint) Path(name string) string { return filepath.Join(c.name, name) }

// Sources lists the weight files.
func (c *Checkpoint) Sources() []graph.Source { return c.sources }

// Source returns the bytes of a weight file, for graph.Data.
func (c *Checkpoint) Source(name string) ([]byte, error) {
	f, ok := c.data[name]
	if !ok {
		return nil, fmt.Errorf("ckpt: model %s has no weight file %q", c.name, name)
	}
	return f.Data(), nil
}

// File returns the descriptor of a weight file, for graph.FileData; false if
// it is in memory only.
func (c *Checkpoint) File(name string) (fd uintptr, offset int64, ok bool) {
	if f := c.data[name]; f != nil {
		fd, ok = f.FD()
	}
	return fd, 0, ok
}

var _ graph.FileData = (*Checkpoint)(nil)

// Has reports whether there is a tensor of that name.
func (c *Checkpoint) Has(name string) bool {
	_, ok := c.tensors[name]
	_, odd := c.odd[name]
	return ok || odd
}

// Names lists the tensors that can be read, sorted.
func (c *Checkpoint) Names() []string {
	out := make([]string, 0, len(c.tensors))
	for n := range c.tensors {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Tensor returns a reference to a tensor.
func (c *Checkpoint) Tensor(name string) (graph.Part, error) {
	p, ok := c.tensors[name]
	if d, odd := c.odd[name]; odd {
		return graph.Part{}, fmt.Errorf("ckpt: model %s: tensor %q: %w", c.name, name, d.Usable())
	}
	if !ok {
		return graph.Part{}, fmt.Errorf("ckpt: model %s: tensor %q: %w", c.name, name, ErrNoTensor)
	}
	return p, nil
}

// Close gives the maps back. Nothing may use the checkpoint's bytes during or
// after it. Calling it again does nothing.
func (c *Checkpoint) Close() error {
	return c.set.Close()
}
