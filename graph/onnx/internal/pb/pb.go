package pb

import "io"

// Model is ModelProto.
type Model struct {
	IRVersion       int64  // 1
	ProducerName    string // 2
	ProducerVersion string // 3
	Domain          string // 4
	Graph           *Graph // 7
	Opsets          []Opset
	Metadata        []Entry    // 14
	Functions       []Function // 25
}

// Opset is OperatorSetIdProto: the version of a domain's operator set.
type Opset struct {
	Domain  string // 1
	Version int64  // 2
}

// Entry is StringStringEntryProto.
type Entry struct {
	Key   string // 1
	Value string // 2
}

// Graph is GraphProto.
type Graph struct {
	Nodes        []Node      // 1
	Name         string      // 2
	Initializers []Tensor    // 5
	Inputs       []ValueInfo // 11
	Outputs      []ValueInfo // 12
	ValueInfo    []ValueInfo // 13
	// Sparse counts sparse_initializer (15), which is not kept.
	Sparse int
}

// Node is NodeProto. An omitted optional input or output is an empty name.
type Node struct {
	Inputs   []string    // 1
	Outputs  []string    // 2
	Name     string      // 3
	OpType   string      // 4
	Attrs    []Attribute // 5
	Domain   string      // 7
	Overload string      // 8
}

// AttrType is AttributeProto.AttributeType.
type AttrType int32

// The attribute types.
const (
	AttrUndefined     AttrType = 0
	AttrFloat         AttrType = 1
	AttrInt           AttrType = 2
	AttrString        AttrType = 3
	AttrTensor        AttrType = 4
	AttrGraph         AttrType = 5
	AttrFloats        AttrType = 6
	AttrInts          AttrType = 7
	AttrStrings       AttrType = 8
	AttrTensors       AttrType = 9
	AttrGraphs        AttrType = 10
	AttrSparseTensor  AttrType = 11
	AttrSparseTensors AttrType = 12
	AttrTypeProto     AttrType = 13
	AttrTypeProtos    AttrType = 14
)

// Attribute is AttributeProto. Type says which field holds the value; the
// kinds without a field here are skipped.
type Attribute struct {
	Name    string    // 1
	Float   float32   // 2
	Int     int64     // 3
	Str     []byte    // 4
	Tensor  *Tensor   // 5
	Graph   *Graph    // 6
	Floats  []float32 // 7
	Ints    []int64   // 8
	Strings [][]byte  // 9
	Type    AttrType  // 20
	Ref     string    // 21: in a function's body, the attribute of the call
}

// Tensor is TensorProto. The values are in one of Raw, Floats, Int32s,
// Int64s, Doubles, Uint64s, Strings, or in an external file.
type Tensor struct {
	Dims     []int64   // 1
	DataType int32     // 2
	Floats   []float32 // 4
	Int32s   []int32   // 5
	Strings  [][]byte  // 6
	Int64s   []int64   // 7
	Name     string    // 8
	// Raw is raw_data (9), aliasing the file, at byte Offset of it. A present
	// but empty field is not nil.
	Raw     []byte
	Offset  int64
	Doubles []float64 // 10
	Uint64s []uint64  // 11
	// External is external_data (13), set when data_location (14) says so.
	External []Entry
	IsExtern bool
	// Content, if not nil, is written as raw_data in place of Raw.
	Content *Content
}

// Content is bytes that are produced while they are written, so that a large
// weight need not be held.
type Content struct {
	Size  int64
	Write func(io.Writer) error // must write exactly Size bytes
}

// ValueInfo is ValueInfoProto with its TypeProto. Kind is empty for a tensor
// or absent type, else what it is instead ("sequence", "map", ...).
type ValueInfo struct {
	Name string // 1
	Kind string
	// HasType, ElemType, HasShape and Shape describe a tensor type.
	HasType  bool
	ElemType int32
	HasShape bool
	Shape    []Dimension
}

// Dimension is TensorShapeProto.Dimension: a value, a name, or neither.
type Dimension struct {
	Value    int64 // 1
	HasValue bool
	Param    string // 2
}

// Function is FunctionProto: an operator defined by nodes.
type Function struct {
	Name         string      // 1
	Inputs       []string    // 4
	Outputs      []string    // 5
	Attrs        []string    // 6: attributes without defaults
	Nodes        []Node      // 7
	Opsets       []Opset     // 9
	Domain       string      // 10
	AttrDefaults []Attribute // 11
	Overload     string      // 13
}
