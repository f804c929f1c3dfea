/*
 * Which nodes the driver takes: the table of operators, and what the looks of all
 * of them use. An operator means what ONNX's operator of that name means at the
 * version in the table.
 *
 * Every operator has a look, which checks a node and fills in its step, and a
 * kernel, which runs it. heddle has verified the graph; a look checks again what
 * its kernel relies on, so that no graph makes it leave its memory.
 */
#include "example.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(look *x, uint32_t reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(x->text, sizeof x->text, format, args);
    va_end(args);
    x->reason = reason;
    return 0;
}

const tensor *operand(const look *x, uint32_t i)
{
    int32_t v = heddle_node_in(x->g, &x->s->node, i);
    return v < 0 ? NULL : &x->values[v];
}

const tensor *result(const look *x, uint32_t i)
{
    int32_t v = heddle_node_out(x->g, &x->s->node, i);
    return v < 0 ? NULL : &x->values[v];
}

int axis_of(look *x, int64_t def, const tensor *t)
{
    int64_t a = heddle_node_int(x->g, &x->s->node, "axis", def);
    if (a < 0)
        a += t->rank;
    NEED(x, a >= 0 && a < t->rank, HEDDLE_REASON_ATTRIBUTE, "attribute axis is outside of rank %d", t->rank);
    x->s->axis = a;
    return 1;
}

int has_shape(const tensor *t, int rank, const int64_t *dims)
{
    return t->rank == rank && memcmp(t->dims, dims, (size_t)rank * sizeof *dims) == 0;
}

int broadcasts_to(const tensor *t, const int64_t *dims, int rank)
{
    int i;
    if (t->rank > rank)
        return 0;
    for (i = 0; i < t->rank; i++)
        if (t->dims[i] != 1 && t->dims[i] != dims[rank - t->rank + i])
            return 0;
    return 1;
}

int64_t product(const int64_t *dims, int from, int to)
{
    int64_t n = 1; /* fits: see read_values */
    while (from < to)
        n *= dims[from++];
    return n;
}

int int_at(const look *x, uint32_t i, int64_t k, int64_t *value)
{
    int32_t id = heddle_node_in(x->g, &x->s->node, i);
    heddle_value v = heddle_graph_value(x->g, (uint32_t)id);
    heddle_part p = heddle_graph_part(x->g, v.parts, 0);
    heddle_dim d = heddle_graph_dim(x->g, v.dims, (uint32_t)k);
    const unsigned char *b = (const unsigned char *)p.bytes.data;
    if (id < 0 || v.kind != HEDDLE_VALUE_CONST || k >= x->values[id].count)
        return 0;
    if (v.is_dims) {
        *value = d.value;
        return d.text.len == 0;
    }
    if (v.parts.count != 1 || !p.is_inline || p.is_slice || p.type.kind != HEDDLE_PLAIN || p.type.elem != x->values[id].elem)
        return 0;
    if (p.type.elem == HEDDLE_I64)
        *value = (int64_t)heddle_get64(b + 8 * k);
    else
        *value = (int32_t)heddle_get32(b + 4 * k);
    return p.type.elem == HEDDLE_I64 || p.type.elem == HEDDLE_I32;
}

int64_t ints(const look *x, uint32_t i, int64_t *list, int64_t room)
{
    const tensor *t = operand(x, i);
    if (!t || t->rank > 1 || !t->known || t->count > room)
        return -1;
    for (int64_t k = 0; k < t->count; k++)
        if (!int_at(x, i, k, &list[k]))
            return -1;
    return t->count;
}

int axes(look *x, const int64_t *list, int64_t n, int rank, uint32_t *bits)
{
    *bits = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t a = list[i] < 0 ? list[i] + rank : list[i];
        NEED(x, a >= 0 && a < rank && !(*bits >> a & 1), HEDDLE_REASON_SHAPE, "axis %lld of rank %d", (long long)list[i], rank);
        *bits |= 1u << a;
    }
    return 1;
}

/* ---- the table ---- */

/* elems are the types of the first operand that are taken. Operands of operators
 * with weights may be constants stored as f16 or bf16. */
static const struct operator {
    const char *name;
    int32_t version;
    uint32_t operands; /* at least */
    uint32_t elems;
    int (*look)(look *x);
} operators[] = {
    {"Abs", 13, 1, F32, look_unary},
    {"Add", 14, 2, NUMBERS, look_binary},
    {"And", 7, 2, BIT(HEDDLE_BOOL), look_binary},
    {"Attention", 25, 3, F32, look_attention},
    {"AveragePool", 22, 1, F32, look_average_pool},
    {"Cast", 25, 1, ALL, look_cast},
    {"Concat", 13, 1, ALL, look_concat},
    {"Conv", 22, 2, F32, look_conv},
    {"Div", 14, 2, NUMBERS, look_binary},
    {"Equal", 19, 2, NUMBERS, look_binary},
    {"Erf", 13, 1, F32, look_unary},
    {"Exp", 13, 1, F32, look_unary},
    {"Expand", 13, 2, ALL, look_expand},
    {"Flatten", 25, 1, ALL, look_same},
    {"Gather", 13, 2, ALL, look_gather},
    {"Gelu", 20, 1, F32, look_unary},
    {"Gemm", 13, 2, F32, look_gemm},
    {"Greater", 13, 2, NUMBERS, look_binary},
    {"GreaterOrEqual", 16, 2, NUMBERS, look_binary},
    {"Identity", 25, 1, ALL, look_same},
    {"LayerNormalization", 17, 2, F32, look_norm},
    {"Less", 13, 2, NUMBERS, look_binary},
    {"LessOrEqual", 16, 2, NUMBERS, look_binary},
    {"Log", 13, 1, F32, look_unary},
    {"MatMul", 13, 2, F32, look_matmul},
    {"Mul", 14, 2, NUMBERS, look_binary},
    {"Neg", 13, 1, NUMBERS, look_unary},
    {"Not", 1, 1, BIT(HEDDLE_BOOL), look_not},
    {"Or", 7, 2, BIT(HEDDLE_BOOL), look_binary},
    {"Pad", 25, 2, ALL, look_pad},
    {"Pow", 15, 2, F32, look_binary},
    {"RMSNormalization", 23, 2, F32, look_norm},
    {"Range", 27, 3, NUMBERS, look_range},
    {"Reciprocal", 13, 1, F32, look_unary},
    {"ReduceMax", 20, 1, F32, look_reduce},
    {"ReduceMean", 18, 1, F32, look_reduce},
    {"ReduceMin", 20, 1, F32, look_reduce},
    {"ReduceSum", 13, 1, F32, look_reduce},
    {"Relu", 14, 1, F32, look_unary},
    {"Reshape", 25, 2, ALL, look_same},
    {"RotaryEmbedding", 23, 3, F32, look_rope},
    {"Sigmoid", 13, 1, F32, look_unary},
    {"Slice", 13, 3, ALL, look_slice},
    {"Softmax", 13, 1, F32, look_softmax},
    {"Split", 18, 1, ALL, look_split},
    {"Sqrt", 13, 1, F32, look_unary},
    {"Squeeze", 25, 1, ALL, look_same},
    {"Sub", 14, 2, NUMBERS, look_binary},
    {"SwiGLU", 28, 2, F32, look_binary},
    {"Swish", 24, 1, F32, look_unary},
    {"Tanh", 13, 1, F32, look_unary},
    {"TensorScatter", 24, 2, ALL, look_tensor_scatter},
    {"Transpose", 25, 1, ALL, look_transpose},
    {"Unsqueeze", 25, 2, ALL, look_same},
    {"Where", 16, 3, BIT(HEDDLE_BOOL), look_where},
};

enum { OPERATORS = sizeof operators / sizeof *operators };

size_t describe_ops(char *text, size_t room)
{
    size_t n = 0;
    for (int i = 0; i < OPERATORS; i++) {
        const char *comma = "";
        n += (size_t)snprintf(text + n, n < room ? room - n : 0, "%s{\"name\":\"%s\",\"elems\":[", i ? "," : "", operators[i].name);
        for (uint8_t e = HEDDLE_F64; e <= HEDDLE_BOOL; e++)
            if (operators[i].elems & BIT(e)) {
                n += (size_t)snprintf(text + n, n < room ? room - n : 0, "%s\"%s\"", comma, heddle_elem_name(e));
                comma = ",";
            }
        n += (size_t)snprintf(text + n, n < room ? room - n : 0, "]%s}", operators[i].elems & F32 ? ",\"encodings\":[\"as(f16)\",\"as(bf16)\"]" : "");
    }
    return n;
}

/* Checks what holds for values of all operators. */
static int look_value(look *x, const tensor *t)
{
    NEED(x, t->plain, HEDDLE_REASON_ENCODING, "quantized values are not implemented");
    NEED(x, BIT(t->elem) & ALL, HEDDLE_REASON_TYPE, "%s is not implemented", heddle_elem_name(t->elem));
    NEED(x, t->store == t->elem || (t->kind == HEDDLE_VALUE_CONST && t->elem == HEDDLE_F32),
         HEDDLE_REASON_ENCODING, "only weights may be stored in another type");
    NEED(x, !t->known || t->size <= MAX_BYTES, HEDDLE_REASON_LIMIT, "a tensor is larger than %lld bytes", (long long)MAX_BYTES);
    if (!t->known)
        x->symbolic = 1;
    return 1;
}

int look_at(look *x, uint32_t node)
{
    const struct operator *o = NULL;
    memset(x->s, 0, sizeof *x->s);
    x->s->node = heddle_graph_node(x->g, node);
    x->symbolic = 0;
    x->reason = HEDDLE_REASON_NONE;
    for (int i = 0; i < OPERATORS && !o; i++)
        if (x->s->node.domain.len == 0 && heddle_str_is(x->s->node.op, operators[i].name))
            o = &operators[i];
    NEED(x, o, HEDDLE_REASON_OPERATOR, "operator %.64s is not implemented", x->s->node.op.data);
    NEED(x, x->s->node.version == o->version,
         HEDDLE_REASON_OPERATOR, "operator %s is implemented at version %d, not %d", o->name, o->version, x->s->node.version);
    for (uint32_t i = 0; i < o->operands; i++)
        NEED(x, operand(x, i), HEDDLE_REASON_OPERATOR, "operand %u of %s is missing", i, o->name);
    NEED(x, result(x, 0) || heddle_str_is(x->s->node.op, "Split"), HEDDLE_REASON_OPERATOR, "result 0 of %s is missing", o->name);
    for (uint32_t i = 0; i < x->s->node.in.count; i++)
        if (operand(x, i) && !look_value(x, operand(x, i)))
            return 0;
    for (uint32_t i = 0; i < x->s->node.out.count; i++)
        if (result(x, i) && !result(x, i)->known)
            x->symbolic = 1;
    NEED(x, BIT(operand(x, 0)->elem) & o->elems,
         HEDDLE_REASON_TYPE, "%s is not implemented for %s", o->name, heddle_elem_name(operand(x, 0)->elem));
    x->s->k = -1; /* no product, unless look says otherwise */
    if (!o->look(x))
        return 0;
    for (uint32_t i = 0; i < x->s->node.out.count; i++)
        if (result(x, i) && !look_value(x, result(x, i)))
            return 0;
    return 1;
}
