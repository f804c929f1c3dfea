/* Operators that compute each element from one or two others. */
#include "example.h"

#include <math.h>

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

int look_unary(look *x)
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

int look_cast(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    uint8_t to = heddle_node_elem(x->g, &x->s->node, "to", HEDDLE_ELEM_NONE);
    NEED(x, to == y->elem && (BIT(to) & ALL),
         HEDDLE_REASON_ATTRIBUTE, "attribute to is %s, which is not implemented", heddle_elem_name(to));
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

int look_not(look *x)
{
    if (!look_same(x))
        return 0;
    x->s->run = run_not;
    return 1;
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
COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
COMPARISON(equal, ==)
ROW(and_bool, uint8_t, uint8_t, (a != 0) & (b != 0))
ROW(or_bool, uint8_t, uint8_t, (a != 0) | (b != 0))

static const struct { const char *name; row_fn *f32, *i64, *i32, *boolean; int truth; /* the result is bool */ } binaries[] = {
    {"Add", add_f32, add_i64, add_i32, NULL, 0},
    {"Sub", sub_f32, sub_i64, sub_i32, NULL, 0},
    {"Mul", mul_f32, mul_i64, mul_i32, NULL, 0},
    {"Div", div_f32, div_i64, div_i32, NULL, 0},
    {"Pow", pow_f32, NULL, NULL, NULL, 0},
    {"SwiGLU", swiglu_f32, NULL, NULL, NULL, 0},
    {"Less", less_f32, less_i64, less_i32, NULL, 1},
    {"LessOrEqual", less_equal_f32, less_equal_i64, less_equal_i32, NULL, 1},
    {"Greater", greater_f32, greater_i64, greater_i32, NULL, 1},
    {"GreaterOrEqual", greater_equal_f32, greater_equal_i64, greater_equal_i32, NULL, 1},
    {"Equal", equal_f32, equal_i64, equal_i32, NULL, 1},
    {"And", NULL, NULL, NULL, and_bool, 1},
    {"Or", NULL, NULL, NULL, or_bool, 1},
};

row_fn *row_of(heddle_str op, uint8_t elem, uint8_t *result)
{
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (heddle_str_is(op, binaries[i].name)) {
            *result = binaries[i].truth ? HEDDLE_BOOL : elem;
            return elem == HEDDLE_F32 ? binaries[i].f32 : elem == HEDDLE_I64 ? binaries[i].i64 : elem == HEDDLE_I32 ? binaries[i].i32 : binaries[i].boolean;
        }
    return NULL;
}

void binary(row_fn *f, void *y, int64_t y_bytes, const tensor *t, const void *a, const tensor *ta, const void *b, const tensor *tb)
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

int look_binary(look *x)
{
    const tensor *a = operand(x, 0), *b = operand(x, 1), *y = result(x, 0);
    step *s = x->s;
    uint8_t elem = 0;
    s->u.binary.f = row_of(s->node.op, a->elem, &elem);
    NEED(x, s->u.binary.f && b->elem == a->elem,
         HEDDLE_REASON_TYPE, "not for %s and %s", heddle_elem_name(a->elem), heddle_elem_name(b->elem));
    NEED(x, heddle_node_float(x->g, &s->node, "alpha", 1) == 1, HEDDLE_REASON_ATTRIBUTE, "attribute alpha must be 1");
    NEED(x, y->elem == elem, HEDDLE_REASON_TYPE, "the result has another type than the operands");
    NEED(x, x->symbolic || (broadcasts_to(a, y->dims, y->rank) && broadcasts_to(b, y->dims, y->rank)),
         HEDDLE_REASON_SHAPE, "operands do not broadcast");
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
            memcpy(y,
                   c[l.at[0] + i * l.stride[0][last]] ? a + (l.at[1] + i * l.stride[1][last]) * size
                                                      : b + (l.at[2] + i * l.stride[2][last]) * size, (size_t)size);
    while (loops_next(&l));
    return NULL;
}

int look_where(look *x)
{
    const tensor *y = result(x, 0);
    NEED(x, operand(x, 1)->elem == y->elem && operand(x, 2)->elem == y->elem && (BIT(y->elem) & ALL),
         HEDDLE_REASON_TYPE, "not for %s", heddle_elem_name(y->elem));
    for (uint32_t i = 0; i < 3; i++)
        NEED(x, x->symbolic || broadcasts_to(operand(x, i), y->dims, y->rank), HEDDLE_REASON_SHAPE, "operands do not broadcast");
    x->s->run = run_where;
    return 1;
}
