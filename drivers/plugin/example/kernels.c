/*
 * The operators. Forms in operators.c say what holds for shapes and types before
 * a kernel runs; what depends on data, or on attributes, is checked here.
 *
 * All tensors are dense, the last dimension first in memory.
 */
#include "example.h"

#include <math.h>
#include <stdlib.h>

void dense(const int64_t *dims, int rank, int64_t *stride)
{
    int64_t n = 1;
    for (int d = rank - 1; d >= 0; d--) {
        stride[d] = n;
        n *= dims[d];
    }
}

int64_t row_at(int64_t i, const int64_t *dims, const int64_t *stride, int rank)
{
    int64_t at = 0;
    for (int d = rank - 2; d >= 0; d--) {
        at += i % dims[d] * stride[d];
        i /= dims[d];
    }
    return at;
}

static int64_t product(const int64_t *dims, int from, int to)
{
    int64_t n = 1;
    while (from < to)
        n *= dims[from++];
    return n;
}

/* ---- elementwise ---- */

static const char *map(const step *s, run *r, double (*f)(double))
{
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    for (int64_t i = 0, n = outer_of(s); i < n; i++)
        y[i] = (float)f(a[i]);
    return NULL;
}

static double relu_of(double x) { return x < 0 ? 0 : x; }
static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }
static double swish_of(double x) { return x / (1 + exp(-x)); }
/* 1 + erf(x) cancels for negative x, and so does 1 + tanh(x). */
static double gelu_of(double x) { return 0.5 * x * erfc(-x * 0.70710678118654752440); }
static double gelu_tanh_of(double x) { return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x))); }

const char *relu(const step *s, run *r) { return map(s, r, relu_of); }
const char *sigmoid(const step *s, run *r) { return map(s, r, sigmoid_of); }
const char *swish(const step *s, run *r) { return map(s, r, swish_of); }
const char *gelu(const step *s, run *r) { return map(s, r, heddle_node_str_is(s->g, &s->node, "approximate", "none", "tanh") ? gelu_tanh_of : gelu_of); }

const char *cast(const step *s, run *r)
{
    const void *a = in(s, r, 0);
    void *y = out(s, r, 0);
    int from_int = in_type(s, 0)->elem == HEDDLE_I64, to_int = out_type(s, 0)->elem == HEDDLE_I64;
    if (from_int == to_int)
        memcpy(y, a, (size_t)out_type(s, 0)->size);
    for (int64_t i = 0, n = from_int == to_int ? 0 : outer_of(s); i < n; i++) {
        if (from_int) {
            ((float *)y)[i] = (float)((const int64_t *)a)[i];
        } else { /* out of range, the nearest */
            float f = ((const float *)a)[i];
            ((int64_t *)y)[i] = f != f ? 0 : f >= 0x1p63f ? INT64_MAX : f <= -0x1p63f ? INT64_MIN : (int64_t)f;
        }
    }
    return NULL;
}

/* Stores the strides of a tensor along the dimensions of *: 0 where it is broadcast. */
static void broadcast(const step *s, const tensor *t, int64_t *stride)
{
    int skip = s->outer_rank - t->rank;
    memset(stride, 0, RANK * sizeof *stride);
    dense(t->dims, t->rank, stride + skip);
    for (int d = 0; d < t->rank; d++)
        if (t->dims[d] == 1)
            stride[skip + d] = 0;
}

/* A row of n elements: y, and the operands with the distance to the next element, in elements. */
typedef void row_fn(void *y, int64_t n, const void *const p[3], const int64_t step[3]);

/* Calls f for each row of the result. */
static const char *rows(const step *s, run *r, row_fn *f)
{
    int rank = s->outer_rank;
    int64_t stride[3][RANK], step[3] = {0}, n = rank > 0 ? s->outer[rank - 1] : 1, all = outer_of(s);
    char *y = out(s, r, 0);
    for (uint32_t k = 0; k < s->node.in.count; k++) {
        broadcast(s, in_type(s, k), stride[k]);
        step[k] = rank > 0 ? stride[k][rank - 1] : 0;
    }
    for (int64_t i = 0; i * n < all; i++) {
        const void *p[3];
        for (uint32_t k = 0; k < s->node.in.count; k++)
            p[k] = (const char *)in(s, r, k) + row_at(i, s->outer, stride[k], rank) * bytes_of(in_type(s, k)->elem);
        f(y + i * n * bytes_of(out_type(s, 0)->elem), n, p, step);
    }
    return NULL;
}

static void add_row(void *y, int64_t n, const void *const p[3], const int64_t step[3])
{
    for (int64_t i = 0; i < n; i++)
        ((float *)y)[i] = ((const float *)p[0])[i * step[0]] + ((const float *)p[1])[i * step[1]];
}

static void mul_row(void *y, int64_t n, const void *const p[3], const int64_t step[3])
{
    for (int64_t i = 0; i < n; i++)
        ((float *)y)[i] = ((const float *)p[0])[i * step[0]] * ((const float *)p[1])[i * step[1]];
}

static void where_row(void *y, int64_t n, const void *const p[3], const int64_t step[3])
{
    const uint8_t *condition = p[0];
    for (int64_t i = 0; i < n; i++)
        ((float *)y)[i] = condition[i * step[0]] ? ((const float *)p[1])[i * step[1]] : ((const float *)p[2])[i * step[2]];
}

static void where_bool_row(void *y, int64_t n, const void *const p[3], const int64_t step[3])
{
    const uint8_t *condition = p[0];
    for (int64_t i = 0; i < n; i++)
        ((uint8_t *)y)[i] = condition[i * step[0]] ? ((const uint8_t *)p[1])[i * step[1]] : ((const uint8_t *)p[2])[i * step[2]];
}

const char *add(const step *s, run *r) { return rows(s, r, add_row); }
const char *mul(const step *s, run *r) { return rows(s, r, mul_row); }

const char *where(const step *s, run *r)
{
    uint8_t elem = out_type(s, 0)->elem;
    if (in_type(s, 1)->elem != elem || in_type(s, 2)->elem != elem)
        return "operands have other types than the result";
    return rows(s, r, elem == HEDDLE_F32 ? where_row : where_bool_row);
}

/* ---- moving ---- */

/* A box of elements in a tensor: where it begins, and the distance to the next
 * along each dimension. */
typedef struct box {
    float *p;
    const tensor *t;
    int64_t at, stride[RANK];
} box;

static box box_of(const tensor *t, void *p)
{
    box b = {p, t, 0, {0}};
    dense(t->dims, t->rank, b.stride);
    return b;
}

static int inside(const box *b, const int64_t *dims, int rank)
{
    int64_t last = b->at;
    for (int d = 0; d < rank && last < b->t->count; d++)
        last += (dims[d] - 1) * b->stride[d];
    return b->at >= 0 && last < b->t->count;
}

/* Copies a box of the given dimensions, if it is inside of both tensors. */
static const char *move(box y, box a, const int64_t *dims, int rank)
{
    int64_t n = rank > 0 ? dims[rank - 1] : 1, count = product(dims, 0, rank);
    int64_t to_next = rank > 0 ? y.stride[rank - 1] : 0, from_next = rank > 0 ? a.stride[rank - 1] : 0;
    if (count > 0 && !(inside(&y, dims, rank) && inside(&a, dims, rank)))
        return "operands and results do not fit each other";
    for (int64_t i = 0; i * n < count; i++) {
        float *to = y.p + y.at + row_at(i, dims, y.stride, rank);
        const float *from = a.p + a.at + row_at(i, dims, a.stride, rank);
        for (int64_t k = 0; k < n; k++)
            to[k * to_next] = from[k * from_next];
    }
    return NULL;
}

/* Reads attribute axis, counted from the end if negative. Returns -1 if a tensor has no such. */
static int axis_of(const step *s, const tensor *t)
{
    int64_t a = heddle_node_int(s->g, &s->node, "axis", 0);
    a += a < 0 ? t->rank : 0;
    return a >= 0 && a < t->rank ? (int)a : -1;
}

const char *reshape(const step *s, run *r)
{
    const tensor *a = in_type(s, 0), *y = out_type(s, 0);
    if (a->count != y->count)
        return "the result has another number of elements";
    memcpy(out(s, r, 0), in(s, r, 0), (size_t)y->size);
    return NULL;
}

const char *transpose(const step *s, run *r)
{
    const tensor *y = out_type(s, 0);
    box a = box_of(in_type(s, 0), in(s, r, 0)), b = a;
    heddle_list perm = {0, 0};
    int listed = heddle_node_ints(s->g, &s->node, "perm", &perm);
    for (int d = 0; d < y->rank; d++) {
        int64_t from = listed ? heddle_graph_int(s->g, perm, (uint32_t)d) : y->rank - 1 - d;
        from += from < 0 ? a.t->rank : 0;
        if (from < 0 || from >= a.t->rank)
            return "attribute perm is not a permutation";
        b.stride[d] = a.stride[from];
    }
    return move(box_of(y, out(s, r, 0)), b, y->dims, y->rank);
}

const char *expand(const step *s, run *r)
{
    box a = box_of(in_type(s, 0), in(s, r, 0));
    broadcast(s, a.t, a.stride);
    return move(box_of(out_type(s, 0), out(s, r, 0)), a, s->outer, s->outer_rank);
}

const char *slice(const step *s, run *r)
{
    const tensor *y = out_type(s, 0);
    const int64_t *starts = in(s, r, 1), *axes = in(s, r, 3);
    box a = box_of(in_type(s, 0), in(s, r, 0));
    for (int64_t i = 0; i < size_of(s, 'n'); i++) {
        int64_t d = axes ? axes[i] : i, start = starts[i];
        d += d < 0 ? a.t->rank : 0;
        if (d < 0 || d >= a.t->rank)
            return "operand axes is out of range";
        start += start < 0 ? a.t->dims[d] : 0;
        start = start < 0 ? 0 : start < a.t->dims[d] ? start : a.t->dims[d];
        a.at += start * a.stride[d];
    }
    return y->rank == a.t->rank ? move(box_of(y, out(s, r, 0)), a, y->dims, y->rank) : "the result has another rank";
}

const char *concat(const step *s, run *r)
{
    box y = box_of(out_type(s, 0), out(s, r, 0));
    int axis = axis_of(s, y.t);
    const char *why = NULL;
    for (uint32_t i = 0; i < s->node.in.count && !why; i++) {
        const tensor *t = in(s, r, i) ? in_type(s, i) : NULL;
        if (!t || axis < 0 || t->rank != y.t->rank)
            return "operands and result do not fit each other";
        why = move(y, box_of(t, in(s, r, i)), t->dims, t->rank);
        y.at += t->dims[axis] * y.stride[axis];
    }
    return why;
}

const char *split(const step *s, run *r)
{
    box a = box_of(in_type(s, 0), in(s, r, 0));
    const int64_t *lengths = in(s, r, 1);
    int axis = axis_of(s, a.t);
    const char *why = axis < 0 || size_of(s, 'n') != (int64_t)s->node.out.count ? "operands and results do not fit each other" : NULL;
    for (uint32_t i = 0; i < s->node.out.count && !why; i++) {
        if (lengths[i] < 0 || lengths[i] > a.t->dims[axis])
            return "operand split is out of range";
        if (out(s, r, i)) {
            const tensor *t = out_type(s, i);
            why = t->rank == a.t->rank ? move(box_of(t, out(s, r, i)), a, t->dims, t->rank) : "a result has another rank";
        }
        a.at += lengths[i] * a.stride[axis];
    }
    return why;
}

const char *pad(const step *s, run *r)
{
    box y = box_of(out_type(s, 0), out(s, r, 0)), a = box_of(in_type(s, 0), in(s, r, 0));
    const int64_t *pads = in(s, r, 1);
    int64_t dims[RANK];
    if (in_type(s, 1)->count != 2 * a.t->rank || y.t->rank != a.t->rank)
        return "operands and result do not fit each other";
    memset(y.p, 0, (size_t)y.t->size);
    for (int d = 0; d < a.t->rank; d++) { /* the box that both have; negative pads cut */
        int64_t before = pads[d], first = before < 0 ? -before : 0, last = a.t->dims[d];
        if (before < -last || before > y.t->dims[d])
            return "operand pads is out of range";
        last = last < y.t->dims[d] - before ? last : y.t->dims[d] - before;
        if (last <= first)
            return NULL;
        dims[d] = last - first;
        a.at += first * a.stride[d];
        y.at += (first + before) * y.stride[d];
    }
    return move(y, a, dims, a.t->rank);
}

const char *gather(const step *s, run *r)
{
    const tensor *t = in_type(s, 0), *ti = in_type(s, 1);
    const int64_t *index = in(s, r, 1);
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    int axis = axis_of(s, t);
    if (axis < 0)
        return "attribute axis is out of range";
    int64_t n = t->dims[axis], outer = product(t->dims, 0, axis), inner = product(t->dims, axis + 1, t->rank);
    if (out_type(s, 0)->size != t->size / (n > 0 ? n : 1) * ti->count)
        return "operands and result do not fit each other";
    for (int64_t k = 0; k < ti->count; k++) {
        int64_t i = index[k] < 0 ? index[k] + n : index[k];
        if (i < 0 || i >= n)
            return "an index of Gather is out of range";
        for (int64_t o = 0; o < outer; o++)
            memcpy(y + (o * ti->count + k) * inner, a + (o * n + i) * inner, (size_t)inner * sizeof *y);
    }
    return NULL;
}

/* The result is the cache itself where that is a state: see compile.c. */
const char *tensor_scatter(const step *s, run *r)
{
    const float *cache = in(s, r, 0), *update = in(s, r, 1);
    const int64_t *starts = in(s, r, 2);
    float *y = out(s, r, 0);
    int64_t heads = size_of(s, 'h'), length = size_of(s, 't'), n = size_of(s, 's'), head = size_of(s, 'd');
    if (cache != y)
        memcpy(y, cache, (size_t)out_type(s, 0)->size);
    for (int64_t b = 0; b < size_of(s, 'b'); b++) {
        if (starts[b] < 0 || starts[b] > length - n)
            return "a write index of TensorScatter is out of range";
        for (int64_t h = b * heads; h < (b + 1) * heads; h++)
            memcpy(y + (h * length + starts[b]) * head, update + h * n * head, (size_t)(n * head) * sizeof *y);
    }
    return NULL;
}

/* ---- along the last dimension ---- */

const char *softmax(const step *s, run *r)
{
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    int64_t n = size_of(s, 'n');
    for (int64_t o = 0; o < outer_of(s); o++, a += n, y += n) {
        double most = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++)
            most = a[i] > most ? a[i] : most;
        for (int64_t i = 0; i < n; i++)
            sum += exp(a[i] - most);
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)(exp(a[i] - most) / sum);
    }
    return NULL;
}

/* Both norms: with centre, the mean is taken off first. */
static const char *norm(const step *s, run *r, int centre)
{
    const float *a = in(s, r, 0), *scale = in(s, r, 1), *bias = in(s, r, 2);
    float *y = out(s, r, 0);
    int64_t n = size_of(s, 'n');
    double epsilon = heddle_node_float(s->g, &s->node, "epsilon", 1e-5f);
    for (int64_t o = 0; o < outer_of(s); o++, a += n, y += n) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < n && centre; i++)
            mean += a[i];
        mean /= (double)n;
        for (int64_t i = 0; i < n; i++)
            square += (a[i] - mean) * (a[i] - mean);
        double factor = 1 / sqrt(square / (double)n + epsilon);
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)((a[i] - mean) * factor * scale[i] + (bias ? bias[i] : 0));
    }
    return NULL;
}

const char *layer_norm(const step *s, run *r) { return norm(s, r, 1); }
const char *rms_norm(const step *s, run *r) { return norm(s, r, 0); }

/* ---- products ---- */

/* y = a * b, of m rows, k terms and n columns. Tiles of the result are summed
 * where they stay in the first cache, over rows of b that stay in the second. */
static void multiply(run *r, float *y, const float *a, const float *b, int64_t m, int64_t k, int64_t n)
{
    enum { ROWS = 8, COLUMNS = 128 };
    for (int64_t j = 0; j < n; j += COLUMNS)
        for (int64_t i = 0; i < m && !stopped(r); i += ROWS) {
            int64_t height = m - i < ROWS ? m - i : ROWS, width = n - j < COLUMNS ? n - j : COLUMNS;
            float sum[ROWS][COLUMNS] = {{0}};
            for (int64_t t = 0; t < k; t++)
                for (int64_t h = 0; h < height; h++) {
                    float f = a[(i + h) * k + t];
                    for (int64_t w = 0; w < width; w++)
                        sum[h][w] += f * b[t * n + j + w];
                }
            for (int64_t h = 0; h < height; h++)
                memcpy(y + (i + h) * n + j, sum[h], (size_t)width * sizeof *y);
        }
}

const char *matmul(const step *s, run *r)
{
    const float *a = in(s, r, 0), *b = in(s, r, 1);
    float *y = out(s, r, 0);
    int64_t batch = outer_of(s), m = size_of(s, 'm'), k = size_of(s, 'k'), n = size_of(s, 'n');
    if (in_type(s, 1)->rank == 2) { /* one right matrix for all: one product of many rows */
        m *= batch;
        batch = 1;
    }
    for (int64_t i = 0; i < batch && !stopped(r); i++)
        multiply(r, y + i * m * n, a + i * m * k, b + i * k * n, m, k, n);
    return NULL;
}

static float dot(const float *a, const float *b, int64_t n)
{
    float sum[8] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) /* sums that do not wait for each other */
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        rest += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + rest;
}

/* Without pads or dilations: what cuts a picture into patches. */
const char *conv(const step *s, run *r)
{
    const float *a = in(s, r, 0), *weight = in(s, r, 1), *bias = in(s, r, 2);
    float *y = out(s, r, 0);
    int64_t channels = size_of(s, 'c'), h = size_of(s, 'h'), w = size_of(s, 'w'), kh = size_of(s, 'k'), kw = size_of(s, 'l');
    int64_t kernels = size_of(s, 'm'), rows = size_of(s, 'p'), columns = size_of(s, 'q'), down = 1, right = 1;
    heddle_list strides;
    if (heddle_node_ints(s->g, &s->node, "strides", &strides)) {
        down = heddle_graph_int(s->g, strides, 0);
        right = heddle_graph_int(s->g, strides, 1);
    }
    if (down < 1 || right < 1 || h < kh || w < kw || rows - 1 > (h - kh) / down || columns - 1 > (w - kw) / right)
        return "a window of Conv is outside of the picture";
    for (int64_t i = 0; i < size_of(s, 'n') * kernels && !stopped(r); i++)
        for (int64_t row = 0; row < rows; row++)
            for (int64_t column = 0; column < columns; column++) {
                float sum = 0;
                for (int64_t c = 0; c < channels; c++)
                    for (int64_t k = 0; k < kh; k++)
                        sum += dot(weight + ((i % kernels * channels + c) * kh + k) * kw,
                                   a + ((i / kernels * channels + c) * h + row * down + k) * w + column * right, kw);
                *y++ = sum + (bias ? bias[i % kernels] : 0);
            }
    return NULL;
}

/* One query: the mean of the values v of n keys, weighted by the softmax of the
 * scores. mask, which may be NULL, tells which keys are seen, or is added to scores. */
static void attend(float *y, const float *q, const float *k, const float *v, const void *mask, int boolean, int64_t n,
                   int64_t key_stride, int64_t value_stride, int64_t key_size, int64_t value_size, float scale)
{
    float most = -INFINITY, sum = 0;
    memset(y, 0, (size_t)value_size * sizeof *y);
    for (int64_t j = 0; j < n; j++) {
        float bias = !mask ? 0 : !boolean ? ((const float *)mask)[j] : ((const uint8_t *)mask)[j] ? 0 : -INFINITY;
        if (bias == -INFINITY)
            continue;
        float score = scale * dot(q, k + j * key_stride, key_size) + bias;
        if (score > most) { /* weights so far were relative to a smaller one */
            float down = expf(most - score);
            most = score;
            sum *= down;
            for (int64_t d = 0; d < value_size; d++)
                y[d] *= down;
        }
        float weight = expf(score - most);
        sum += weight;
        for (int64_t d = 0; d < value_size; d++)
            y[d] += weight * v[j * value_stride + d];
    }
    for (int64_t d = 0; d < value_size && sum > 0; d++)
        y[d] /= sum;
}

/* Operands are [batch, heads, tokens, head], or [batch, tokens, heads * head]. */
const char *attention(const step *s, run *r)
{
    const float *q = in(s, r, 0), *k = in(s, r, 1), *v = in(s, r, 2);
    const char *mask = in(s, r, 3);
    const int64_t *valid = in(s, r, 6);
    float *y = out(s, r, 0);
    int flat = in_type(s, 0)->rank == 3, causal = heddle_node_int(s->g, &s->node, "is_causal", 0) != 0;
    int64_t heads = flat ? heddle_node_int(s->g, &s->node, "q_num_heads", 0) : size_of(s, 'h');
    int64_t shared = flat ? heddle_node_int(s->g, &s->node, "kv_num_heads", 0) : size_of(s, 'g');
    int64_t queries = size_of(s, 'q'), keys = size_of(s, 'k'), mask_row = mask ? keys * bytes_of(in_type(s, 3)->elem) : 0;
    if (heads < 1 || shared < 1 || heads % shared != 0)
        return "heads of queries do not share heads of keys";
    int64_t size = flat ? size_of(s, 'x') / heads : size_of(s, 'd'), value = flat ? size_of(s, 'z') / shared : size_of(s, 'v');
    if (flat && (size_of(s, 'x') != heads * size || size_of(s, 'y') != shared * size || size_of(s, 'z') != shared * value || size_of(s, 'o') != heads * value))
        return "heads do not divide the operands";
    float scale = heddle_node_float(s->g, &s->node, "scale", (float)(1 / sqrt((double)size)));
    for (int64_t b = 0; b < size_of(s, 'b'); b++) {
        int64_t seen = valid ? valid[b] : keys, first = valid ? seen - queries : 0; /* position of the first query */
        if (seen < 0 || seen > keys)
            return "nonpad_kv_seqlen of Attention is out of range";
        for (int64_t h = 0; h < heads && !stopped(r); h++)
            for (int64_t i = 0; i < queries; i++) {
                int64_t g = h / (heads / shared), n = !causal || first + i + 1 > seen ? seen : first + i + 1;
                int64_t row = flat ? (b * queries + i) * heads + h : (b * heads + h) * queries + i; /* of q and y */
                int64_t from = flat ? b * keys * shared + g : (b * shared + g) * keys;              /* of k and v */
                int64_t next = flat ? shared : 1;
                attend(y + row * value, q + row * size, k + from * size, v + from * value, mask ? mask + i * mask_row : NULL, mask_row == keys, n,
                       next * size, next * value, size, value, scale);
            }
    }
    return NULL;
}

const char *rotary_embedding(const step *s, run *r)
{
    const float *x = in(s, r, 0), *cosines = in(s, r, 1), *sines = in(s, r, 2);
    const int64_t *positions = in(s, r, 3);
    float *y = out(s, r, 0);
    int64_t heads = size_of(s, 'h'), tokens = size_of(s, 's'), half = size_of(s, 'r');
    if (size_of(s, 'd') != 2 * half)
        return "the caches do not have half the size of a head";
    for (int64_t i = 0; i < size_of(s, 'b') * heads * tokens; i++, x += 2 * half, y += 2 * half) {
        int64_t at = positions[i / (heads * tokens) * tokens + i % tokens];
        if (at < 0 || at >= size_of(s, 'p'))
            return "a position of RotaryEmbedding is out of range";
        for (int64_t d = 0; d < half; d++) {
            double c = cosines[at * half + d], n = sines[at * half + d], one = x[d], two = x[d + half];
            y[d] = (float)(c * one - n * two);
            y[d + half] = (float)(n * one + c * two);
        }
    }
    return NULL;
}
