/*
 * The operators that do not multiply matrices: which nodes are taken, with which
 * attributes, and how each computes. They mean what ONNX's operators of the same
 * name mean, at the versions in the table at the end.
 *
 * Every operator has a look, which checks a node and fills in its step, and a
 * kernel, which runs it. heddle has verified the graph; a look checks again what
 * its kernel relies on, so that no graph makes it leave its memory.
 */
#include "example.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define BIT(elem) (1u << (elem))
#define F32 BIT(HEDDLE_F32)
#define INTS (BIT(HEDDLE_I64) | BIT(HEDDLE_I32))
#define NUMBERS (F32 | INTS)
#define ALL (NUMBERS | BIT(HEDDLE_BOOL))

static int64_t bytes_of(uint8_t elem) { return heddle_elem_bits(elem) / 8; }

/* ---- looking ---- */

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

static int64_t product(const int64_t *dims, int from, int to)
{
    int64_t n = 1; /* fits: see read_values */
    while (from < to)
        n *= dims[from++];
    return n;
}

/* Reads integer k of a constant operand that the graph itself carries, such as a
 * shape, axes or pads: returns 0 if it is none. */
static int int_at(const look *x, uint32_t i, int64_t k, int64_t *value)
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

/* Reads all integers of such an operand: returns their number, or -1. */
static int64_t ints(const look *x, uint32_t i, int64_t *list, int64_t room)
{
    const tensor *t = operand(x, i);
    if (!t || t->rank > 1 || !t->known || t->count > room)
        return -1;
    for (int64_t k = 0; k < t->count; k++)
        if (!int_at(x, i, k, &list[k]))
            return -1;
    return t->count;
}

/* Reads a list of axes as bits; those counted from the end too. */
static int axes(look *x, const int64_t *list, int64_t n, int rank, uint32_t *bits)
{
    *bits = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t a = list[i] < 0 ? list[i] + rank : list[i];
        NEED(x, a >= 0 && a < rank && !(*bits >> a & 1), HEDDLE_REASON_SHAPE, "axis %lld of rank %d", (long long)list[i], rank);
        *bits |= 1u << a;
    }
    return 1;
}

/* ---- loops ---- */

void dense_strides(const int64_t *dims, int rank, int64_t *stride)
{
    int64_t n = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= dims[i] > 0 ? dims[i] : 1;
    }
}

void broadcast_strides(const int64_t *dims, int rank, int y_rank, int64_t *stride)
{
    int skip = y_rank - rank;
    memset(stride, 0, (size_t)y_rank * sizeof *stride);
    dense_strides(dims, rank, stride + skip);
    for (int i = 0; i < rank; i++)
        if (dims[i] == 1)
            stride[skip + i] = 0;
}

void loops_start(loops *l)
{
    int n = 0;
    for (int i = 0; i < l->rank; i++) {
        int merge = n > 0;
        if (l->dims[i] == 1)
            continue;
        for (int k = 0; k < 3; k++)
            merge = merge && l->stride[k][n - 1] == l->stride[k][i] * l->dims[i];
        if (merge)
            n--;
        l->dims[n] = merge ? l->dims[n] * l->dims[i] : l->dims[i];
        for (int k = 0; k < 3; k++)
            l->stride[k][n] = l->stride[k][i];
        n++;
    }
    if (n == 0) {
        l->dims[n++] = 1;
        l->stride[0][0] = l->stride[1][0] = l->stride[2][0] = 0;
    }
    l->rank = n;
    memset(l->index, 0, sizeof l->index);
    memset(l->at, 0, sizeof l->at);
}

int loops_next(loops *l)
{
    for (int i = l->rank - 2; i >= 0; i--) {
        for (int k = 0; k < 3; k++)
            l->at[k] += l->stride[k][i];
        if (++l->index[i] < l->dims[i])
            return 1;
        for (int k = 0; k < 3; k++)
            l->at[k] -= l->stride[k][i] * l->dims[i];
        l->index[i] = 0;
    }
    return 0;
}

void move_box(void *y, const int64_t *y_stride, const void *a, const int64_t *a_stride, const int64_t *dims, int rank, int64_t size)
{
    loops l;
    l.rank = rank;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0)
            return;
        l.dims[i] = dims[i];
        l.stride[0][i] = y_stride[i];
        l.stride[1][i] = a_stride[i];
        l.stride[2][i] = 0;
    }
    loops_start(&l);
    int64_t n = l.dims[l.rank - 1], ys = l.stride[0][l.rank - 1] * size, as = l.stride[1][l.rank - 1] * size;
    do {
        char *to = (char *)y + l.at[0] * size;
        const char *from = (const char *)a + l.at[1] * size;
        if (n == 1 || (ys == size && as == size))
            memcpy(to, from, (size_t)(n * size));
        else if (size == 4) /* a constant size makes memcpy one instruction */
            for (int64_t i = 0; i < n; i++)
                memcpy(to + i * ys, from + i * as, 4);
        else
            for (int64_t i = 0; i < n; i++)
                memcpy(to + i * ys, from + i * as, (size_t)size);
    } while (loops_next(&l));
}

/* ---- elementwise, one operand ---- */

static double f_relu(double x, double p) { (void)p; return x < 0 ? 0 : x; }
static double f_neg(double x, double p) { (void)p; return -x; }
static double f_abs(double x, double p) { (void)p; return fabs(x); }
static double f_sqrt(double x, double p) { (void)p; return sqrt(x); }
static double f_reciprocal(double x, double p) { (void)p; return 1 / x; }
static double f_exp(double x, double p) { (void)p; return exp(x); }
static double f_log(double x, double p) { (void)p; return log(x); }
static double f_erf(double x, double p) { (void)p; return erf(x); }
static double f_tanh(double x, double p) { (void)p; return tanh(x); }
static double f_sigmoid(double x, double p) { (void)p; return 1 / (1 + exp(-x)); }
static double f_swish(double x, double alpha) { return x / (1 + exp(-alpha * x)); }
/* 1 + erf(x) cancels for negative x, and so does 1 + tanh(x). */
static double f_gelu(double x, double p) { (void)p; return 0.5 * x * erfc(-x * 0.70710678118654752440); }
static double f_gelu_tanh(double x, double p)
{
    (void)p;
    return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static const struct { const char *name; double (*f)(double, double); } functions[] = {
    {"Relu", f_relu}, {"Neg", f_neg}, {"Abs", f_abs}, {"Sqrt", f_sqrt}, {"Reciprocal", f_reciprocal}, {"Exp", f_exp}, {"Log", f_log},
    {"Erf", f_erf}, {"Tanh", f_tanh}, {"Sigmoid", f_sigmoid}, {"Swish", f_swish}, {"Gelu", f_gelu},
};

static const char *run_unary(const step *s, run *r)
{
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    int64_t n = out_type(s, r, 0)->count;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)s->u.unary.f(a[i], s->u.unary.p);
    return NULL;
}

static const char *run_neg_ints(const step *s, run *r)
{
    const void *a = in(s, r, 0);
    void *y = out(s, r, 0);
    int64_t n = out_type(s, r, 0)->count;
    if (in_type(s, r, 0)->elem == HEDDLE_I32)
        for (int64_t i = 0; i < n; i++)
            ((uint32_t *)y)[i] = 0 - ((const uint32_t *)a)[i];
    else
        for (int64_t i = 0; i < n; i++)
            ((uint64_t *)y)[i] = 0 - ((const uint64_t *)a)[i];
    return NULL;
}

static int look_unary(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    step *s = x->s;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (heddle_str_is(s->node.op, functions[i].name))
            s->u.unary.f = functions[i].f;
    s->u.unary.p = heddle_node_float(x->g, &s->node, "alpha", 1);
    if (s->u.unary.f == f_gelu && heddle_node_str_is(x->g, &s->node, "approximate", "none", "tanh"))
        s->u.unary.f = f_gelu_tanh;
    s->run = a->elem == HEDDLE_F32 ? run_unary : run_neg_ints;
    NEED(x, y->elem == a->elem, HEDDLE_REASON_TYPE, "the result has another type than the operand");
    NEED(x, x->symbolic || y->count == a->count, HEDDLE_REASON_SHAPE, "the result has another shape than the operand");
    return 1;
}

static const char *run_cast(const step *s, run *r)
{
    const void *a = in(s, r, 0);
    void *y = out(s, r, 0);
    uint8_t from = in_type(s, r, 0)->elem, to = out_type(s, r, 0)->elem;
    int64_t n = out_type(s, r, 0)->count;
    for (int64_t i = 0; i < n; i++) {
        double f = 0;
        int64_t k = 0; /* the same as an integer: out of range, the nearest of 64 bits */
        switch (from) {
        case HEDDLE_F32:
            f = ((const float *)a)[i];
            k = f != f ? 0 : f >= 9223372036854775807.0 ? INT64_MAX : f <= -9223372036854775808.0 ? INT64_MIN : (int64_t)f;
            break;
        case HEDDLE_I64: k = ((const int64_t *)a)[i]; break;
        case HEDDLE_I32: k = ((const int32_t *)a)[i]; break;
        default: k = ((const uint8_t *)a)[i] != 0;
        }
        switch (to) {
        case HEDDLE_F32: ((float *)y)[i] = from == HEDDLE_F32 ? (float)f : (float)k; break;
        case HEDDLE_I64: ((int64_t *)y)[i] = k; break;
        case HEDDLE_I32: ((uint32_t *)y)[i] = (uint32_t)k; break;
        default: ((uint8_t *)y)[i] = from == HEDDLE_F32 ? f != 0 : k != 0;
        }
    }
    return NULL;
}

static int look_cast(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    uint8_t to = heddle_node_elem(x->g, &x->s->node, "to", HEDDLE_ELEM_NONE);
    NEED(x, to == y->elem && (BIT(to) & ALL), HEDDLE_REASON_TYPE, "no cast to %s", heddle_elem_name(to));
    NEED(x, x->symbolic || y->count == a->count, HEDDLE_REASON_SHAPE, "the result has another shape than the operand");
    x->s->run = run_cast;
    return 1;
}

static const char *run_not(const step *s, run *r)
{
    const uint8_t *a = in(s, r, 0);
    uint8_t *y = out(s, r, 0);
    int64_t n = out_type(s, r, 0)->count;
    for (int64_t i = 0; i < n; i++)
        y[i] = !a[i];
    return NULL;
}

/* ---- elementwise, two operands ---- */

/* A row function for each type; strides of 1 and 0, which are nearly all there
 * are, get loops of their own. */
#define ROW(name, T, R, expression)                                                              \
    static void name(void *y_, const void *a_, int64_t sa, const void *b_, int64_t sb, int64_t n) \
    {                                                                                            \
        R *y = y_;                                                                               \
        const T *p = a_, *q = b_;                                                                \
        if (sa == 1 && sb == 1)                                                                  \
            for (int64_t i = 0; i < n; i++) { T a = p[i], b = q[i]; y[i] = (R)(expression); }    \
        else if (sa == 1 && sb == 0)                                                             \
            for (int64_t i = 0; i < n; i++) { T a = p[i], b = *q; y[i] = (R)(expression); }      \
        else                                                                                     \
            for (int64_t i = 0; i < n; i++) { T a = p[i * sa], b = q[i * sb]; y[i] = (R)(expression); } \
    }

/* Integers wrap, which only unsigned ones do in C; the quotient that does not
 * fit wraps too. Division by zero is refused before. */
#define ARITHMETIC(name, op)                      \
    ROW(name##_f32, float, float, a op b)         \
    ROW(name##_i64, uint64_t, uint64_t, a op b)   \
    ROW(name##_i32, uint32_t, uint32_t, a op b)
#define COMPARISON(name, op)                      \
    ROW(name##_f32, float, uint8_t, a op b)       \
    ROW(name##_i64, int64_t, uint8_t, a op b)     \
    ROW(name##_i32, int32_t, uint8_t, a op b)
ARITHMETIC(add, +)
ARITHMETIC(sub, -)
ARITHMETIC(mul, *)
ROW(div_f32, float, float, a / b)
ROW(div_i64, int64_t, int64_t, b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b)
ROW(div_i32, int32_t, int32_t, b == -1 ? (int32_t)(0 - (uint32_t)a) : a / b)
ROW(pow_f32, float, float, pow(a, b))
ROW(swiglu_f32, float, float, (double)a / (1 + exp(-(double)a)) * b)
ROW(max_f32, float, float, a != a || a > b ? a : b)
ROW(max_i64, int64_t, int64_t, a > b ? a : b)
ROW(max_i32, int32_t, int32_t, a > b ? a : b)
ROW(min_f32, float, float, a != a || a < b ? a : b)
ROW(min_i64, int64_t, int64_t, a < b ? a : b)
ROW(min_i32, int32_t, int32_t, a < b ? a : b)
COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
COMPARISON(equal, ==)
ROW(and_bool, uint8_t, uint8_t, (a != 0) & (b != 0))
ROW(or_bool, uint8_t, uint8_t, (a != 0) | (b != 0))

static const struct { const char *name; row *f32, *i64, *i32, *boolean; } binaries[] = {
    {"Add", add_f32, add_i64, add_i32, NULL},
    {"Sub", sub_f32, sub_i64, sub_i32, NULL},
    {"Mul", mul_f32, mul_i64, mul_i32, NULL},
    {"Div", div_f32, div_i64, div_i32, NULL},
    {"Pow", pow_f32, NULL, NULL, NULL},
    {"SwiGLU", swiglu_f32, NULL, NULL, NULL},
    {"Max", max_f32, max_i64, max_i32, NULL},
    {"Min", min_f32, min_i64, min_i32, NULL},
    {"Less", less_f32, less_i64, less_i32, NULL},
    {"LessOrEqual", less_equal_f32, less_equal_i64, less_equal_i32, NULL},
    {"Greater", greater_f32, greater_i64, greater_i32, NULL},
    {"GreaterOrEqual", greater_equal_f32, greater_equal_i64, greater_equal_i32, NULL},
    {"Equal", equal_f32, equal_i64, equal_i32, NULL},
    {"And", NULL, NULL, NULL, and_bool},
    {"Or", NULL, NULL, NULL, or_bool},
};

/* Applies a row function to dense tensors, with broadcasting. y may be a. */
static void binary(row *f, void *y, int64_t y_bytes, const tensor *t, const void *a, const tensor *ta, const void *b, const tensor *tb)
{
    loops l;
    int64_t size = bytes_of(ta->elem);
    l.rank = t->rank;
    memcpy(l.dims, t->dims, sizeof l.dims);
    dense_strides(t->dims, t->rank, l.stride[0]);
    broadcast_strides(ta->dims, ta->rank, t->rank, l.stride[1]);
    broadcast_strides(tb->dims, tb->rank, t->rank, l.stride[2]);
    loops_start(&l);
    do
        f((char *)y + l.at[0] * y_bytes, (const char *)a + l.at[1] * size, l.stride[1][l.rank - 1], (const char *)b + l.at[2] * size,
          l.stride[2][l.rank - 1], l.dims[l.rank - 1]);
    while (loops_next(&l));
}

static const char *run_binary(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0), *tb = in_type(s, r, 1);
    const void *b = in(s, r, 1);
    if (s->u.binary.f == div_i64 || s->u.binary.f == div_i32)
        for (int64_t i = 0; i < tb->count; i++)
            if (tb->elem == HEDDLE_I64 ? ((const int64_t *)b)[i] == 0 : ((const int32_t *)b)[i] == 0)
                return "integer division by zero";
    binary(s->u.binary.f, out(s, r, 0), bytes_of(t->elem), t, in(s, r, 0), in_type(s, r, 0), b, tb);
    return NULL;
}

static int look_binary(look *x)
{
    const tensor *a = operand(x, 0), *b = operand(x, 1), *y = result(x, 0);
    step *s = x->s;
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (heddle_str_is(s->node.op, binaries[i].name))
            s->u.binary.f = a->elem == HEDDLE_F32 ? binaries[i].f32 : a->elem == HEDDLE_I64 ? binaries[i].i64 :
                            a->elem == HEDDLE_I32 ? binaries[i].i32 : binaries[i].boolean;
    NEED(x, s->node.in.count == 2, HEDDLE_REASON_SHAPE, "takes two operands here");
    NEED(x, s->u.binary.f && b->elem == a->elem, HEDDLE_REASON_TYPE, "not for %s and %s", heddle_elem_name(a->elem), heddle_elem_name(b->elem));
    NEED(x, heddle_node_float(x->g, &s->node, "alpha", 1) == 1, HEDDLE_REASON_ATTRIBUTE, "attribute alpha must be 1");
    NEED(x, y->elem == a->elem || y->elem == HEDDLE_BOOL, HEDDLE_REASON_TYPE, "the result has another type than the operands");
    NEED(x, x->symbolic || (broadcasts_to(a, y->dims, y->rank) && broadcasts_to(b, y->dims, y->rank)), HEDDLE_REASON_SHAPE, "operands do not broadcast");
    s->run = run_binary;
    return 1;
}

static const char *run_where(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0);
    int64_t size = bytes_of(t->elem), cs[RANK];
    loops l;
    const uint8_t *c = in(s, r, 0);
    const char *a = in(s, r, 1), *b = in(s, r, 2);
    char *y = out(s, r, 0);
    l.rank = t->rank;
    memcpy(l.dims, t->dims, sizeof l.dims);
    broadcast_strides(in_type(s, r, 0)->dims, in_type(s, r, 0)->rank, t->rank, cs);
    memcpy(l.stride[0], cs, sizeof cs); /* y is walked in order: the condition takes its place */
    broadcast_strides(in_type(s, r, 1)->dims, in_type(s, r, 1)->rank, t->rank, l.stride[1]);
    broadcast_strides(in_type(s, r, 2)->dims, in_type(s, r, 2)->rank, t->rank, l.stride[2]);
    loops_start(&l);
    int last = l.rank - 1;
    do
        for (int64_t i = 0; i < l.dims[last]; i++, y += size)
            memcpy(y, c[l.at[0] + i * l.stride[0][last]] ? a + (l.at[1] + i * l.stride[1][last]) * size : b + (l.at[2] + i * l.stride[2][last]) * size, (size_t)size);
    while (loops_next(&l));
    return NULL;
}

static int look_where(look *x)
{
    const tensor *y = result(x, 0);
    NEED(x, operand(x, 1)->elem == y->elem && operand(x, 2)->elem == y->elem && (BIT(y->elem) & ALL), HEDDLE_REASON_TYPE, "not for %s", heddle_elem_name(y->elem));
    for (uint32_t i = 0; i < 3; i++)
        NEED(x, x->symbolic || broadcasts_to(operand(x, i), y->dims, y->rank), HEDDLE_REASON_SHAPE, "operands do not broadcast");
    x->s->run = run_where;
    return 1;
}

/* ---- moving ---- */

static const char *run_same(const step *s, run *r)
{
    void *a = in(s, r, 0), *y = out(s, r, 0);
    if (a != y)
        memcpy(y, a, (size_t)out_type(s, r, 0)->size);
    return NULL;
}

/* Reshape and its like keep the elements in order; the shape is the result's. */
static int look_same(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    NEED(x, y->elem == a->elem && (x->symbolic || y->count == a->count), HEDDLE_REASON_SHAPE, "the result has not as many elements as the operand");
    x->s->run = run_same;
    return 1;
}

static const char *run_view(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0);
    int64_t size = bytes_of(t->elem), stride[RANK];
    dense_strides(t->dims, t->rank, stride);
    move_box(out(s, r, 0), stride, (const char *)in(s, r, 0) + s->u.view.offset * size, s->u.view.stride, t->dims, t->rank, size);
    return NULL;
}

static int look_transpose(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    int64_t perm[RANK], stride[RANK];
    uint32_t seen;
    heddle_list l;
    x->s->run = run_view;
    if (x->symbolic)
        return 1;
    for (int i = 0; i < a->rank; i++)
        perm[i] = a->rank - 1 - i;
    if (heddle_node_ints(x->g, &x->s->node, "perm", &l)) {
        NEED(x, (int)l.count == a->rank, HEDDLE_REASON_ATTRIBUTE, "attribute perm is not a permutation");
        heddle_graph_ints(x->g, l, perm);
    }
    if (!axes(x, perm, a->rank, a->rank, &seen))
        return 0;
    dense_strides(a->dims, a->rank, stride);
    for (int i = 0; i < a->rank; i++) {
        int64_t from = perm[i] < 0 ? perm[i] + a->rank : perm[i];
        NEED(x, y->rank == a->rank && y->dims[i] == a->dims[from] && y->elem == a->elem, HEDDLE_REASON_SHAPE, "the result has not the permuted shape");
        x->s->u.view.stride[i] = stride[from];
    }
    return 1;
}

static int look_expand(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    x->s->run = run_view;
    if (x->symbolic)
        return 1;
    NEED(x, y->elem == a->elem && broadcasts_to(a, y->dims, y->rank), HEDDLE_REASON_SHAPE, "the operand does not broadcast to the result");
    broadcast_strides(a->dims, a->rank, y->rank, x->s->u.view.stride);
    return 1;
}

static int look_slice(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    int64_t start[RANK], end[RANK], axis[RANK], by[RANK], n;
    uint32_t seen;
    x->s->run = run_view;
    if (x->symbolic)
        return 1;
    n = ints(x, 1, start, RANK);
    for (int i = 0; i < RANK; i++) {
        axis[i] = i;
        by[i] = 1;
    }
    NEED(x, n >= 0 && ints(x, 2, end, RANK) == n && (!operand(x, 3) || ints(x, 3, axis, RANK) == n) && (!operand(x, 4) || ints(x, 4, by, RANK) == n),
         HEDDLE_REASON_SHAPE, "starts, ends, axes and steps must be constants of one length");
    if (!axes(x, axis, n, a->rank, &seen))
        return 0;
    NEED(x, y->rank == a->rank && y->elem == a->elem, HEDDLE_REASON_SHAPE, "the result has another rank than the operand");
    dense_strides(a->dims, a->rank, x->s->u.view.stride);
    for (int64_t i = 0; i < n; i++) {
        int d = (int)(axis[i] < 0 ? axis[i] + a->rank : axis[i]);
        int64_t size = a->dims[d], low = by[i] < 0 ? -1 : 0, high = by[i] < 0 ? size - 1 : size, length;
        NEED(x, by[i] != 0 && by[i] != INT64_MIN, HEDDLE_REASON_SHAPE, "a step is 0");
        int64_t from = start[i] < 0 ? start[i] + size : start[i], to = end[i] < 0 ? end[i] + size : end[i];
        from = from < low ? low : from > high ? high : from;
        to = to < low ? low : to > high ? high : to;
        length = by[i] > 0 ? to - from : from - to;
        length = length <= 0 ? 0 : (length - 1) / (by[i] < 0 ? -by[i] : by[i]) + 1;
        NEED(x, y->dims[d] == length, HEDDLE_REASON_SHAPE, "the result has not the shape of the slice");
        if (length > 0)
            x->s->u.view.offset += from * x->s->u.view.stride[d];
        if (length > 1)
            x->s->u.view.stride[d] *= by[i];
        seen |= 1u << d;
    }
    for (int d = 0; d < a->rank; d++)
        NEED(x, y->dims[d] == a->dims[d] || seen >> d & 1, HEDDLE_REASON_SHAPE, "the result has not the shape of the slice");
    return 1;
}

static const char *run_concat(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0);
    int64_t inner = product(t->dims, (int)s->axis + 1, t->rank) * bytes_of(t->elem), outer = product(t->dims, 0, (int)s->axis), at = 0;
    for (uint32_t i = 0; i < s->node.in.count; i++) {
        int64_t n = in_type(s, r, i)->dims[s->axis] * inner;
        const char *a = in(s, r, i);
        for (int64_t o = 0; o < outer && n > 0; o++)
            memcpy((char *)out(s, r, 0) + o * t->dims[s->axis] * inner + at, a + o * n, (size_t)n);
        at += n;
    }
    return NULL;
}

static int look_concat(look *x)
{
    const tensor *y = result(x, 0);
    int64_t total = 0;
    if (!axis_of(x, 0, y))
        return 0;
    x->s->run = run_concat;
    for (uint32_t i = 0; i < x->s->node.in.count; i++) {
        const tensor *a = operand(x, i);
        NEED(x, a && a->elem == y->elem && a->rank == y->rank, HEDDLE_REASON_TYPE, "operand %u has another type or rank than the result", i);
        for (int d = 0; d < y->rank && !x->symbolic; d++)
            NEED(x, d == x->s->axis || a->dims[d] == y->dims[d], HEDDLE_REASON_SHAPE, "operand %u does not fit the result", i);
        total += x->symbolic ? 0 : a->dims[x->s->axis];
    }
    NEED(x, x->symbolic || total == y->dims[x->s->axis], HEDDLE_REASON_SHAPE, "the operands do not make up the result");
    return 1;
}

/* The length of part i of a Split: of operand 1, or equal shares. */
static int64_t share(int64_t whole, int64_t parts, int64_t i)
{
    int64_t each = (whole + parts - 1) / parts, left = whole - i * each;
    return left < 0 ? 0 : left < each ? left : each;
}

static const char *run_split(const step *s, run *r)
{
    const tensor *t = in_type(s, r, 0);
    const int64_t *lengths = s->node.in.count > 1 ? in(s, r, 1) : NULL;
    int64_t inner = product(t->dims, (int)s->axis + 1, t->rank) * bytes_of(t->elem), outer = product(t->dims, 0, (int)s->axis);
    int64_t whole = t->dims[s->axis] * inner, at = 0;
    const char *a = in(s, r, 0);
    for (uint32_t i = 0; i < s->node.out.count; i++) {
        int64_t n = (lengths ? lengths[i] : share(t->dims[s->axis], s->u.split.parts, i)) * inner;
        char *y = out(s, r, i);
        for (int64_t o = 0; o < outer && n > 0 && y; o++)
            memcpy(y + o * n, a + o * whole + at, (size_t)n);
        at += n;
    }
    return NULL;
}

static int look_split(look *x)
{
    const tensor *a = operand(x, 0), *lengths = operand(x, 1);
    int64_t parts = heddle_node_int(x->g, &x->s->node, "num_outputs", x->s->node.out.count), at = 0;
    if (!axis_of(x, 0, a))
        return 0;
    x->s->run = run_split;
    if (x->symbolic)
        return 1;
    NEED(x, parts >= 1 && (lengths || parts <= a->dims[x->s->axis] || parts <= 4096), HEDDLE_REASON_ATTRIBUTE, "attribute num_outputs is out of range");
    for (uint32_t i = 0; i < x->s->node.out.count; i++) {
        const tensor *y = result(x, i);
        int64_t n = share(a->dims[x->s->axis], parts, i);
        NEED(x, !lengths || int_at(x, 1, i, &n), HEDDLE_REASON_SHAPE, "operand split is not a constant");
        NEED(x, n >= 0 && n <= a->dims[x->s->axis] - at, HEDDLE_REASON_SHAPE, "the parts do not make up the operand");
        at += n;
        for (int d = 0; y && d < a->rank; d++)
            NEED(x, y->elem == a->elem && y->rank == a->rank && y->dims[d] == (d == x->s->axis ? n : a->dims[d]), HEDDLE_REASON_SHAPE, "result %u has another shape", i);
    }
    NEED(x, !lengths || lengths->elem == HEDDLE_I64, HEDDLE_REASON_TYPE, "operand split is not i64");
    x->s->u.split.parts = parts;
    return 1;
}

static const char *run_pad(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0), *ta = in_type(s, r, 0);
    int64_t size = bytes_of(t->elem), to[RANK], from[RANK], dims[RANK];
    const char *a = in(s, r, 0), *fill = s->node.in.count > 2 ? in(s, r, 2) : NULL;
    char *y = out(s, r, 0);
    for (int64_t i = 0; i < t->count; i++)
        if (fill)
            memcpy(y + i * size, fill, (size_t)size);
        else
            memset(y + i * size, 0, (size_t)size);
    dense_strides(t->dims, t->rank, to);
    dense_strides(ta->dims, ta->rank, from);
    for (int d = 0; d < t->rank; d++) { /* the box that both have */
        int64_t before = s->u.pad.before[d], first = before < 0 ? -before : 0, last = ta->dims[d];
        if (last > t->dims[d] - before)
            last = t->dims[d] - before;
        if (last <= first)
            return NULL;
        dims[d] = last - first;
        a += first * from[d] * size;
        y += (first + before) * to[d] * size;
    }
    move_box(y, to, a, from, dims, t->rank, size);
    return NULL;
}

static int look_pad(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0), *fill = operand(x, 2);
    int64_t pads[2 * RANK], axis[RANK], n;
    uint32_t seen;
    NEED(x, heddle_node_str_is(x->g, &x->s->node, "mode", "constant", "constant"), HEDDLE_REASON_ATTRIBUTE, "attribute mode must be constant");
    NEED(x, !fill || fill->elem == a->elem, HEDDLE_REASON_TYPE, "constant_value has another type than the operand");
    x->s->run = run_pad;
    if (x->symbolic)
        return 1;
    for (int i = 0; i < RANK; i++)
        axis[i] = i;
    n = operand(x, 3) ? ints(x, 3, axis, RANK) : a->rank;
    NEED(x, n >= 0 && ints(x, 1, pads, 2 * RANK) == 2 * n, HEDDLE_REASON_SHAPE, "pads and axes must be constants that fit each other");
    NEED(x, (!fill || fill->count == 1) && y->rank == a->rank && y->elem == a->elem, HEDDLE_REASON_SHAPE, "operands and result do not fit");
    if (!axes(x, axis, n, a->rank, &seen))
        return 0;
    for (int64_t i = 0; i < n; i++) {
        int d = (int)(axis[i] < 0 ? axis[i] + a->rank : axis[i]);
        NEED(x, pads[i] > -MAX_BYTES && pads[i] < MAX_BYTES && pads[n + i] > -MAX_BYTES && pads[n + i] < MAX_BYTES && y->dims[d] == a->dims[d] + pads[i] + pads[n + i],
             HEDDLE_REASON_SHAPE, "the result has not the padded shape");
        x->s->u.pad.before[d] = pads[i];
    }
    for (int d = 0; d < a->rank; d++)
        NEED(x, y->dims[d] == a->dims[d] || seen >> d & 1, HEDDLE_REASON_SHAPE, "the result has not the padded shape");
    return 1;
}

static int64_t index_at(const void *p, uint8_t elem, int64_t i)
{
    return elem == HEDDLE_I64 ? ((const int64_t *)p)[i] : ((const int32_t *)p)[i];
}

static const char *run_gather(const step *s, run *r)
{
    const tensor *t = in_type(s, r, 0), *ti = in_type(s, r, 1);
    int64_t n = t->dims[s->axis], outer = product(t->dims, 0, (int)s->axis);
    int64_t inner = product(t->dims, (int)s->axis + 1, t->rank) * bytes_of(t->elem);
    const char *a = in(s, r, 0);
    char *y = out(s, r, 0);
    for (int64_t k = 0; k < ti->count; k++) {
        int64_t i = index_at(in(s, r, 1), ti->elem, k);
        if (i < -n || i >= n)
            return "an index of Gather is out of range";
        i += i < 0 ? n : 0;
        for (int64_t o = 0; o < outer; o++)
            memcpy(y + (o * ti->count + k) * inner, a + (o * n + i) * inner, (size_t)inner);
    }
    return NULL;
}

static int look_gather(look *x)
{
    const tensor *a = operand(x, 0), *i = operand(x, 1), *y = result(x, 0);
    NEED(x, (BIT(i->elem) & INTS) && y->elem == a->elem, HEDDLE_REASON_TYPE, "indices are %s", heddle_elem_name(i->elem));
    if (!axis_of(x, 0, a))
        return 0;
    x->s->run = run_gather;
    NEED(x, x->symbolic || y->count == product(a->dims, 0, (int)x->s->axis) * i->count * product(a->dims, (int)x->s->axis + 1, a->rank),
         HEDDLE_REASON_SHAPE, "the result has not the shape of what is gathered");
    return 1;
}

static const char *run_tensor_scatter(const step *s, run *r)
{
    const tensor *t = in_type(s, r, 0), *u = in_type(s, r, 1);
    int64_t n = t->dims[s->axis], m = u->dims[s->axis], rows = product(t->dims, 1, (int)s->axis);
    int64_t inner = product(t->dims, (int)s->axis + 1, t->rank) * bytes_of(t->elem);
    const int64_t *start = s->node.in.count > 2 ? in(s, r, 2) : NULL;
    const char *update = in(s, r, 1);
    char *y = out(s, r, 0);
    if (in(s, r, 0) != y) /* no state: the result is a copy */
        memcpy(y, in(s, r, 0), (size_t)t->size);
    for (int64_t b = 0; b < t->dims[0]; b++) {
        int64_t from = start ? start[b] : 0;
        if (from < 0 || (!s->u.scatter.circular && from > n - m))
            return "a write index of TensorScatter is out of range";
        for (int64_t o = b * rows; o < (b + 1) * rows; o++)
            for (int64_t k = 0; k < m; k++)
                memcpy(y + (o * n + (from % n + k) % n) * inner, update + (o * m + k) * inner, (size_t)inner);
    }
    return NULL;
}

static int look_tensor_scatter(look *x)
{
    const tensor *a = operand(x, 0), *u = operand(x, 1), *start = operand(x, 2), *y = result(x, 0);
    if (!axis_of(x, -2, a))
        return 0;
    x->s->u.scatter.circular = heddle_node_str_is(x->g, &x->s->node, "mode", "linear", "circular");
    x->s->run = run_tensor_scatter;
    NEED(x, x->s->axis > 0 && u->rank == a->rank, HEDDLE_REASON_ATTRIBUTE, "attribute axis is the batch, or the update has another rank");
    NEED(x, u->elem == a->elem && y->elem == a->elem && (!start || start->elem == HEDDLE_I64), HEDDLE_REASON_TYPE, "the update has another type than the cache");
    if (x->symbolic)
        return 1;
    for (int d = 0; d < a->rank; d++)
        NEED(x, u->dims[d] == a->dims[d] || (d == x->s->axis && u->dims[d] < a->dims[d]), HEDDLE_REASON_SHAPE, "the update does not fit the cache");
    NEED(x, has_shape(y, a->rank, a->dims) && (!start || has_shape(start, 1, a->dims)), HEDDLE_REASON_SHAPE, "there must be one write index for each sample");
    return 1;
}

static const char *run_range(const step *s, run *r)
{
    int64_t n = out_type(s, r, 0)->count;
    uint8_t elem = out_type(s, r, 0)->elem;
    void *y = out(s, r, 0);
    for (int64_t i = 0; i < n; i++) {
        if (elem == HEDDLE_F32)
            ((float *)y)[i] = (float)(*(const float *)in(s, r, 0) + (double)i * *(const float *)in(s, r, 2));
        else if (elem == HEDDLE_I64)
            ((uint64_t *)y)[i] = *(const uint64_t *)in(s, r, 0) + (uint64_t)i * *(const uint64_t *)in(s, r, 2);
        else
            ((uint32_t *)y)[i] = *(const uint32_t *)in(s, r, 0) + (uint32_t)i * *(const uint32_t *)in(s, r, 2);
    }
    return NULL;
}

static int look_range(look *x)
{
    const tensor *y = result(x, 0);
    for (uint32_t i = 0; i < 3; i++)
        NEED(x, operand(x, i)->elem == y->elem && operand(x, i)->rank == 0, HEDDLE_REASON_TYPE, "start, limit and delta must be scalars of the result's type");
    x->s->run = run_range;
    return 1;
}

/* ---- reducing and normalising ---- */

static const char *run_reduce(const step *s, run *r)
{
    const tensor *t = in_type(s, r, 0), *ty = out_type(s, r, 0);
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    double *sum = (double *)r->scratch;
    char what = s->u.reduce.what;
    int64_t n = 1, stride = 1;
    loops l = {0};
    for (int64_t i = 0; i < ty->count; i++)
        sum[i] = what == 'x' ? -INFINITY : what == 'n' ? INFINITY : 0;
    l.rank = t->rank;
    memcpy(l.dims, t->dims, sizeof l.dims);
    dense_strides(t->dims, t->rank, l.stride[1]);
    memcpy(l.stride[2], l.stride[1], sizeof l.stride[2]);
    for (int d = t->rank - 1; d >= 0; d--) { /* the place in the result stays where an axis is reduced */
        l.stride[0][d] = s->u.reduce.axes >> d & 1 ? 0 : stride;
        if (s->u.reduce.axes >> d & 1)
            n *= t->dims[d];
        else
            stride *= t->dims[d];
    }
    loops_start(&l);
    int last = l.rank - 1;
    if (t->count > 0)
        do
            for (int64_t i = 0; i < l.dims[last]; i++) {
                double *to = &sum[l.at[0] + i * l.stride[0][last]], f = a[l.at[1] + i * l.stride[1][last]];
                if (what == 'x')
                    *to = f > *to || f != f ? f : *to;
                else if (what == 'n')
                    *to = f < *to || f != f ? f : *to;
                else
                    *to += f;
            }
        while (loops_next(&l));
    for (int64_t i = 0; i < ty->count; i++)
        y[i] = (float)(what == 'm' ? sum[i] / (double)n : sum[i]);
    return NULL;
}

static int look_reduce(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    int64_t list[RANK] = {0}, n = 0, want = 1;
    step *s = x->s;
    s->run = run_reduce;
    s->u.reduce.what = heddle_str_is(s->node.op, "ReduceMax") ? 'x' : heddle_str_is(s->node.op, "ReduceMin") ? 'n' : heddle_str_is(s->node.op, "ReduceMean") ? 'm' : 's';
    if (x->symbolic)
        return 1;
    NEED(x, !operand(x, 1) || (n = ints(x, 1, list, RANK)) >= 0, HEDDLE_REASON_SHAPE, "axes must be a constant");
    if (!axes(x, list, n, a->rank, &s->u.reduce.axes))
        return 0;
    if (n == 0 && !heddle_node_int(x->g, &s->node, "noop_with_empty_axes", 0))
        s->u.reduce.axes = (1u << a->rank) - 1;
    for (int d = 0; d < a->rank; d++)
        want *= s->u.reduce.axes >> d & 1 ? 1 : a->dims[d];
    NEED(x, y->count == want && y->elem == a->elem, HEDDLE_REASON_SHAPE, "the result has not the reduced shape");
    s->scratch = want * (int64_t)sizeof(double);
    return 1;
}

static const char *run_softmax(const step *s, run *r)
{
    const tensor *t = in_type(s, r, 0);
    int64_t n = t->dims[s->axis], inner = product(t->dims, (int)s->axis + 1, t->rank), outer = product(t->dims, 0, (int)s->axis);
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    double *e = (double *)r->scratch;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const float *p = a + o * n * inner + i;
            double most = -INFINITY, sum = 0;
            for (int64_t k = 0; k < n; k++)
                most = p[k * inner] > most ? p[k * inner] : most;
            for (int64_t k = 0; k < n; k++)
                sum += e[k] = exp(p[k * inner] - most);
            for (int64_t k = 0; k < n; k++)
                y[o * n * inner + i + k * inner] = (float)(e[k] / sum);
        }
    return NULL;
}

static int look_softmax(look *x)
{
    const tensor *a = operand(x, 0);
    if (!axis_of(x, -1, a) || !look_same(x))
        return 0;
    x->s->run = run_softmax;
    if (!x->symbolic)
        x->s->scratch = a->dims[x->s->axis] * (int64_t)sizeof(double);
    return 1;
}

/* LayerNormalization and, without centre, RMSNormalization. */
static const char *run_norm(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0);
    int64_t inner = product(t->dims, (int)s->axis, t->rank), outer = product(t->dims, 0, (int)s->axis);
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0), *means = out(s, r, 1), *inverses = out(s, r, 2);
    for (int64_t o = 0; o < outer; o++, a += inner, y += inner) {
        double mean = 0, square = 0, scale;
        for (int64_t i = 0; i < inner && s->u.norm.centre; i++)
            mean += a[i];
        mean /= (double)inner;
        mean = s->u.norm.centre ? mean : 0;
        for (int64_t i = 0; i < inner; i++)
            square += (a[i] - mean) * (a[i] - mean);
        scale = 1 / sqrt(square / (double)inner + s->u.norm.epsilon);
        for (int64_t i = 0; i < inner; i++)
            y[i] = (float)((a[i] - mean) * scale);
        if (means)
            means[o] = (float)mean;
        if (inverses)
            inverses[o] = (float)scale;
    }
    if (t->count == 0)
        return NULL;
    binary(mul_f32, out(s, r, 0), 4, t, out(s, r, 0), t, in(s, r, 1), in_type(s, r, 1));
    if (in(s, r, 2))
        binary(add_f32, out(s, r, 0), 4, t, out(s, r, 0), t, in(s, r, 2), in_type(s, r, 2));
    return NULL;
}

static int look_norm(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    step *s = x->s;
    if (!axis_of(x, -1, a) || !look_same(x))
        return 0;
    s->run = run_norm;
    s->u.norm.centre = heddle_str_is(s->node.op, "LayerNormalization");
    s->u.norm.epsilon = heddle_node_float(x->g, &s->node, "epsilon", 1e-5f);
    NEED(x, heddle_node_elem(x->g, &s->node, "stash_type", HEDDLE_F32) == HEDDLE_F32, HEDDLE_REASON_ATTRIBUTE, "attribute stash_type must be f32");
    for (uint32_t i = 1; i < 3; i++) {
        const tensor *p = operand(x, i), *moment = result(x, i);
        NEED(x, !p || p->elem == HEDDLE_F32, HEDDLE_REASON_TYPE, "operand %u is %s", i, heddle_elem_name(p->elem));
        NEED(x, !moment || moment->elem == HEDDLE_F32, HEDDLE_REASON_TYPE, "result %u is no f32", i);
        if (x->symbolic)
            continue;
        NEED(x, !p || broadcasts_to(p, y->dims, y->rank), HEDDLE_REASON_SHAPE, "operand %u does not broadcast", i);
        NEED(x, !moment || moment->count == product(a->dims, 0, (int)s->axis), HEDDLE_REASON_SHAPE, "result %u has another shape", i);
    }
    NEED(x, x->symbolic || has_shape(y, a->rank, a->dims), HEDDLE_REASON_SHAPE, "the result has another shape than the operand");
    return 1;
}

/* ---- windows ---- */

int window_of(look *x, const tensor *a, const tensor *y, const int64_t *kernel, window *w)
{
    static const struct { const char *name; int64_t least; } names[] = {{"strides", 1}, {"dilations", 1}, {"pads", 0}};
    int n = a->rank - 2; /* spatial dimensions: the last of two; one is the last of [1,W] */
    heddle_list l;
    int64_t list[3][4] = {{1, 1}, {1, 1}, {0, 0, 0, 0}};
    for (int i = 0; i < 3; i++)
        if (heddle_node_ints(x->g, &x->s->node, names[i].name, &l)) {
            NEED(x, (int)l.count == (i == 2 ? 2 * n : n), HEDDLE_REASON_ATTRIBUTE, "attribute %s has %u numbers", names[i].name, l.count);
            for (uint32_t k = 0; k < l.count; k++) {
                list[i][k] = heddle_graph_int(x->g, l, k);
                NEED(x, list[i][k] >= names[i].least && list[i][k] <= INT32_MAX, HEDDLE_REASON_ATTRIBUTE, "attribute %s is out of range", names[i].name);
            }
        }
    for (int d = 0; d < 2; d++) {
        int i = d - 2 + n; /* index in the attributes, -1 for a dimension that is not there */
        int64_t extent, total;
        w->in[d] = i < 0 ? 1 : a->dims[2 + i];
        w->out[d] = i < 0 ? 1 : y->dims[2 + i];
        w->kernel[d] = i < 0 ? 1 : kernel[i];
        w->stride[d] = i < 0 ? 1 : list[0][i];
        w->dilation[d] = i < 0 ? 1 : list[1][i];
        w->before[d] = i < 0 ? 0 : list[2][i];
        w->after[d] = i < 0 ? 0 : list[2][i + n];
        NEED(x, w->kernel[d] >= 1 && w->kernel[d] <= INT32_MAX && w->in[d] <= INT32_MAX && w->out[d] <= INT32_MAX, HEDDLE_REASON_LIMIT, "the window is too large");
        extent = w->dilation[d] * (w->kernel[d] - 1) + 1;
        total = (w->out[d] - 1) * w->stride[d] + extent - w->in[d];
        if (heddle_node_str_is(x->g, &x->s->node, "auto_pad", "NOTSET", "NOTSET"))
            continue;
        w->before[d] = w->after[d] = 0;
        if (heddle_node_str_is(x->g, &x->s->node, "auto_pad", "NOTSET", "VALID") || total <= 0)
            continue;
        w->before[d] = heddle_node_str_is(x->g, &x->s->node, "auto_pad", "NOTSET", "SAME_UPPER") ? total / 2 : total - total / 2;
        w->after[d] = total - w->before[d];
    }
    return 1;
}

static const char *run_average_pool(const step *s, run *r)
{
    const window *w = &s->u.conv.w;
    const tensor *t = out_type(s, r, 0);
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    int64_t planes = t->dims[0] * t->dims[1];
    for (int64_t c = 0; c < planes; c++, a += w->in[0] * w->in[1])
        for (int64_t oy = 0; oy < w->out[0]; oy++)
            for (int64_t ox = 0; ox < w->out[1]; ox++) {
                double sum = 0;
                int64_t inside = 0, padded = 0;
                for (int64_t ky = 0; ky < w->kernel[0]; ky++)
                    for (int64_t kx = 0; kx < w->kernel[1]; kx++) {
                        int64_t iy = oy * w->stride[0] + ky * w->dilation[0] - w->before[0], ix = ox * w->stride[1] + kx * w->dilation[1] - w->before[1];
                        padded += iy < w->in[0] + w->after[0] && ix < w->in[1] + w->after[1];
                        if (iy < 0 || ix < 0 || iy >= w->in[0] || ix >= w->in[1])
                            continue;
                        sum += a[iy * w->in[1] + ix];
                        inside++;
                    }
                *y++ = (float)(sum / (double)(s->u.conv.with_pad ? padded : inside));
            }
    return NULL;
}

static int look_average_pool(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    heddle_list l;
    int64_t kernel[RANK];
    NEED(x, (a->rank == 3 || a->rank == 4) && y->rank == a->rank && y->elem == a->elem, HEDDLE_REASON_SHAPE, "only [N,C,W] and [N,C,H,W]");
    NEED(x, heddle_node_ints(x->g, &x->s->node, "kernel_shape", &l) && (int)l.count == a->rank - 2, HEDDLE_REASON_ATTRIBUTE, "attribute kernel_shape does not fit");
    heddle_graph_ints(x->g, l, kernel);
    x->s->u.conv.with_pad = heddle_node_int(x->g, &x->s->node, "count_include_pad", 0) != 0;
    x->s->run = run_average_pool;
    if (x->symbolic)
        return 1;
    NEED(x, y->dims[0] == a->dims[0] && y->dims[1] == a->dims[1], HEDDLE_REASON_SHAPE, "batch and channels of the result differ from the operand's");
    return window_of(x, a, y, kernel, &x->s->u.conv.w);
}

static int look_not(look *x)
{
    if (!look_same(x))
        return 0;
    x->s->run = run_not;
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
    {"Max", 13, 2, NUMBERS, look_binary},
    {"Min", 13, 2, NUMBERS, look_binary},
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
    NEED(x, t->store == t->elem || (t->kind == HEDDLE_VALUE_CONST && t->elem == HEDDLE_F32), HEDDLE_REASON_ENCODING, "only weights may be stored in another type");
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
    x->s->index = node;
    x->symbolic = 0;
    x->reason = HEDDLE_REASON_NONE;
    for (int i = 0; i < OPERATORS && !o; i++)
        if (x->s->node.domain.len == 0 && heddle_str_is(x->s->node.op, operators[i].name))
            o = &operators[i];
    NEED(x, o, HEDDLE_REASON_OPERATOR, "operator %.64s is not implemented", x->s->node.op.data);
    NEED(x, x->s->node.version == o->version, HEDDLE_REASON_OPERATOR, "operator %s is implemented at version %d, not %d", o->name, o->version, x->s->node.version);
    for (uint32_t i = 0; i < o->operands; i++)
        NEED(x, operand(x, i), HEDDLE_REASON_OPERATOR, "operand %u of %s is missing", i, o->name);
    NEED(x, result(x, 0) || heddle_str_is(x->s->node.op, "Split"), HEDDLE_REASON_OPERATOR, "result 0 of %s is missing", o->name);
    for (uint32_t i = 0; i < x->s->node.in.count; i++)
        if (operand(x, i) && !look_value(x, operand(x, i)))
            return 0;
    for (uint32_t i = 0; i < x->s->node.out.count; i++)
        if (result(x, i) && !look_value(x, result(x, i)))
            return 0;
    NEED(x, BIT(operand(x, 0)->elem) & o->elems, HEDDLE_REASON_TYPE, "%s is not implemented for %s", o->name, heddle_elem_name(operand(x, 0)->elem));
    x->s->k = -1; /* no product, unless look says otherwise */
    return o->look(x);
}
