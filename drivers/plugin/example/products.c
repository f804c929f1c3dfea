/*
 * The operators that multiply and add: matrix products, convolution, attention,
 * and the rotation of its operands.
 *
 * Everything that is a product of matrices goes through multiply, which takes the
 * right matrix in panels of PANEL columns: those of a constant are packed when
 * the graph is compiled, others as they are needed.
 */
#include "example.h"

#include <math.h>

/* What SSE and NEON compute at once. */
typedef float lanes __attribute__((vector_size(16), may_alias));

static inline lanes all(float f)
{
    lanes v = {f, f, f, f};
    return v;
}

/* Adds the product of one or two rows of a with a panel to sum. */
static void tile1(lanes sum[4], const float *a, int64_t stride, const float *panel, int64_t k)
{
    const lanes *p = (const lanes *)panel;
    lanes s0 = {0}, s1 = s0, s2 = s0, s3 = s0;
    for (int64_t i = 0; i < k; i++, p += 4, a += stride) {
        lanes f = all(*a);
        s0 += f * p[0];
        s1 += f * p[1];
        s2 += f * p[2];
        s3 += f * p[3];
    }
    sum[0] += s0;
    sum[1] += s1;
    sum[2] += s2;
    sum[3] += s3;
}

static void tile2(lanes sum[8], const float *a, const float *b, int64_t stride, const float *panel, int64_t k)
{
    const lanes *p = (const lanes *)panel;
    lanes s0 = {0}, s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
    for (int64_t i = 0; i < k; i++, p += 4, a += stride, b += stride) {
        lanes f = all(*a), g = all(*b);
        s0 += f * p[0];
        s1 += f * p[1];
        s2 += f * p[2];
        s3 += f * p[3];
        t0 += g * p[0];
        t1 += g * p[1];
        t2 += g * p[2];
        t3 += g * p[3];
    }
    sum[0] += s0;
    sum[1] += s1;
    sum[2] += s2;
    sum[3] += s3;
    sum[4] += t0;
    sum[5] += t1;
    sum[6] += t2;
    sum[7] += t3;
}

/* Computes n columns, at most PANEL, of y = a * panel for m rows. Long sums are
 * made of sums of 256 terms, which keeps their error small. */
static void multiply(float *y, int64_t y_row, const float *a, int64_t a_row, int64_t a_col, int64_t m, const float *panel, int64_t k, int64_t n)
{
    enum { TERMS = 256 };
    for (int64_t i = 0; i < m; i += 2) {
        lanes sum[8] = {{0}};
        for (int64_t j = 0; j < k; j += TERMS) {
            int64_t terms = k - j < TERMS ? k - j : TERMS;
            const float *row = a + i * a_row + j * a_col;
            if (i + 1 < m)
                tile2(sum, row, row + a_row, a_col, panel + j * PANEL, terms);
            else
                tile1(sum, row, a_col, panel + j * PANEL, terms);
        }
        memcpy(y + i * y_row, sum, (size_t)n * sizeof *y);
        if (i + 1 < m)
            memcpy(y + (i + 1) * y_row, sum + 4, (size_t)n * sizeof *y);
    }
}

static void pack_panel(float *panel, const float *b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n)
{
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < PANEL; j++)
            *panel++ = j < n ? b[i * row_stride + j * col_stride] : 0;
}

void pack(float *panels, const float *b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += PANEL)
        pack_panel(panels + j * k, b + j * col_stride, row_stride, col_stride, k, n - j < PANEL ? n - j : PANEL);
}

/* Multiplies m rows with the step's right operand, or with b. */
static void multiply_all(const step *s, run *r, float *y, const float *a, int64_t m, const float *b)
{
    for (int64_t j = 0; j < s->n && !stopped(r); j += PANEL) {
        int64_t n = s->n - j < PANEL ? s->n - j : PANEL;
        const float *panel = s->packed + j * s->k;
        if (!s->packed) {
            panel = (const float *)r->scratch;
            pack_panel((float *)r->scratch, b + j * s->col_stride, s->row_stride, s->col_stride, s->k, n);
        }
        multiply(y + j, s->n, a, s->u.product.a_row, s->u.product.a_col, m, panel, s->k, n);
    }
}

static const char *run_matmul(const step *s, run *r)
{
    const tensor *ta = in_type(s, r, 0), *tb = in_type(s, r, 1), *t = out_type(s, r, 0);
    const float *a = in(s, r, 0), *b = in(s, r, 1);
    float *y = out(s, r, 0);
    int64_t m = s->u.product.m;
    int batches = t->rank - (ta->rank > 1) - (tb->rank > 1); /* dimensions that count matrices */
    loops l;
    l.rank = batches;
    memcpy(l.dims, t->dims, sizeof l.dims);
    dense_strides(t->dims, batches, l.stride[0]);
    broadcast_strides(ta->dims, ta->rank > 2 ? ta->rank - 2 : 0, batches, l.stride[1]);
    broadcast_strides(tb->dims, tb->rank > 2 ? tb->rank - 2 : 0, batches, l.stride[2]);
    loops_start(&l);
    int last = l.rank - 1;
    int64_t count = l.dims[last], as = l.stride[1][last], bs = l.stride[2][last];
    do {
        float *to = y + l.at[0] * m * s->n;
        const float *p = a + l.at[1] * m * s->k, *q = b + l.at[2] * s->k * s->n;
        if (bs == 0 && (as == 1 || count == 1)) /* one right matrix for all: one product of many rows */
            multiply_all(s, r, to, p, count * m, q);
        else
            for (int64_t i = 0; i < count; i++)
                multiply_all(s, r, to + i * m * s->n, p + i * as * m * s->k, m, q + i * bs * s->k * s->n);
    } while (loops_next(&l) && !stopped(r));
    return NULL;
}

/* Fills in the parts of a product that steps share: b is k rows of n columns. */
static int64_t product_step(step *s, int64_t m, int64_t k, int64_t n, int transposed)
{
    s->k = k;
    s->n = n;
    s->row_stride = transposed ? 1 : n;
    s->col_stride = transposed ? k : 1;
    s->u.product.m = m;
    s->u.product.a_row = k;
    s->u.product.a_col = 1;
    return s->scratch = k * PANEL * (int64_t)sizeof(float);
}

int look_matmul(look *x)
{
    const tensor *a = operand(x, 0), *b = operand(x, 1), *y = result(x, 0);
    int64_t m, k, n, dims[RANK];
    int rank = 0;
    NEED(x, b->elem == HEDDLE_F32 && y->elem == HEDDLE_F32, HEDDLE_REASON_TYPE, "operand B is %s", heddle_elem_name(b->elem));
    NEED(x, a->rank > 0 && b->rank > 0, HEDDLE_REASON_SHAPE, "a scalar has no matrix product");
    x->s->run = run_matmul;
    if (x->symbolic)
        return 1;
    m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    k = a->dims[a->rank - 1];
    n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    NEED(x, (b->rank > 1 ? b->dims[b->rank - 2] : b->dims[0]) == k, HEDDLE_REASON_SHAPE, "the inner dimensions differ");
    rank = y->rank - (a->rank > 1) - (b->rank > 1);
    NEED(x, rank >= 0 && rank == (a->rank > b->rank ? (a->rank > 2 ? a->rank - 2 : 0) : (b->rank > 2 ? b->rank - 2 : 0)),
         HEDDLE_REASON_SHAPE, "the result has another rank");
    memcpy(dims, y->dims, sizeof dims);
    for (int i = 0; i < 2; i++) {
        tensor t = i ? *b : *a;
        t.rank = t.rank > 2 ? t.rank - 2 : 0;
        NEED(x, broadcasts_to(&t, dims, rank), HEDDLE_REASON_SHAPE, "the batches of the operands do not broadcast");
    }
    if (a->rank > 1)
        NEED(x, y->dims[rank] == m, HEDDLE_REASON_SHAPE, "the result has another number of rows");
    if (b->rank > 1)
        NEED(x, y->dims[y->rank - 1] == n, HEDDLE_REASON_SHAPE, "the result has another number of columns");
    product_step(x->s, m, k, n, 0);
    return 1;
}

static const char *run_gemm(const step *s, run *r)
{
    const tensor *t = out_type(s, r, 0);
    const float *c = in(s, r, 2);
    float *y = out(s, r, 0), alpha = s->u.product.alpha, beta = s->u.product.beta;
    multiply_all(s, r, y, in(s, r, 0), s->u.product.m, in(s, r, 1));
    int64_t stride[RANK] = {0};
    if (c)
        broadcast_strides(in_type(s, r, 2)->dims, in_type(s, r, 2)->rank, 2, stride);
    for (int64_t i = 0; i < t->dims[0]; i++)
        for (int64_t j = 0; j < s->n; j++, y++)
            *y = alpha * *y + (c ? beta * c[i * stride[0] + j * stride[1]] : 0);
    return NULL;
}

int look_gemm(look *x)
{
    const tensor *a = operand(x, 0), *b = operand(x, 1), *c = operand(x, 2), *y = result(x, 0);
    step *s = x->s;
    int ta = heddle_node_int(x->g, &s->node, "transA", 0) != 0, tb = heddle_node_int(x->g, &s->node, "transB", 0) != 0;
    NEED(x, b->elem == HEDDLE_F32 && y->elem == HEDDLE_F32 && (!c || c->elem == HEDDLE_F32), HEDDLE_REASON_TYPE, "operands must be f32");
    NEED(x, a->rank == 2 && b->rank == 2 && y->rank == 2, HEDDLE_REASON_SHAPE, "operands must be matrices");
    s->run = run_gemm;
    if (x->symbolic)
        return 1;
    NEED(x, a->dims[!ta] == b->dims[tb] && y->dims[0] == a->dims[ta] && y->dims[1] == b->dims[!tb] && (!c || broadcasts_to(c, y->dims, 2)),
         HEDDLE_REASON_SHAPE, "operands and result do not fit");
    product_step(s, a->dims[ta], a->dims[!ta], b->dims[!tb], tb);
    s->u.product.a_row = ta ? 1 : a->dims[1];
    s->u.product.a_col = ta ? a->dims[1] : 1;
    s->u.product.alpha = heddle_node_float(x->g, &s->node, "alpha", 1);
    s->u.product.beta = heddle_node_float(x->g, &s->node, "beta", 1);
    return 1;
}

/* A convolution multiplies the kernels, one in each row, with the patches of the
 * picture that they see, one in each column. */
static const char *run_conv(const step *s, run *r)
{
    const window *w = &s->u.conv.w;
    const tensor *t = out_type(s, r, 0), *ta = in_type(s, r, 0);
    const float *a = in(s, r, 0), *weight = in(s, r, 1), *bias = in(s, r, 2);
    float *y = out(s, r, 0), *panel = (float *)r->scratch;
    int64_t group = s->u.conv.group, channels = ta->dims[1] / group, kernels = t->dims[1] / group, plane = w->in[0] * w->in[1];
    int64_t taps = w->kernel[0] * w->kernel[1], k = channels * taps, n = w->out[0] * w->out[1];
    for (int64_t g = 0; g < t->dims[0] * group && !stopped(r); g++) { /* a group of a picture */
        for (int64_t j = 0; j < n; j += PANEL) {
            int64_t cols = n - j < PANEL ? n - j : PANEL;
            for (int64_t i = 0; i < k; i++)
                for (int64_t c = 0; c < PANEL; c++) {
                    int64_t ky = i % taps / w->kernel[1], kx = i % w->kernel[1];
                    int64_t iy = (j + c) / w->out[1] * w->stride[0] + ky * w->dilation[0] - w->before[0];
                    int64_t ix = (j + c) % w->out[1] * w->stride[1] + kx * w->dilation[1] - w->before[1];
                    int inside = c < cols && iy >= 0 && ix >= 0 && iy < w->in[0] && ix < w->in[1];
                    panel[i * PANEL + c] = inside ? a[(g * channels + i / taps) * plane + iy * w->in[1] + ix] : 0;
                }
            multiply(y + g * kernels * n + j, n, weight + g % group * kernels * k, k, 1, kernels, panel, k, cols);
        }
        for (int64_t i = 0; i < kernels * n && bias; i++)
            y[g * kernels * n + i] += bias[g % group * kernels + i / n];
    }
    return NULL;
}

int look_conv(look *x)
{
    const tensor *a = operand(x, 0), *w = operand(x, 1), *bias = operand(x, 2), *y = result(x, 0);
    int64_t group = heddle_node_int(x->g, &x->s->node, "group", 1);
    NEED(x, w->elem == HEDDLE_F32 && y->elem == HEDDLE_F32 && (!bias || bias->elem == HEDDLE_F32),
         HEDDLE_REASON_TYPE, "operands must be f32");
    NEED(x, (a->rank == 3 || a->rank == 4) && w->rank == a->rank && y->rank == a->rank, HEDDLE_REASON_SHAPE, "only [N,C,W] and [N,C,H,W]");
    NEED(x, group >= 1, HEDDLE_REASON_ATTRIBUTE, "attribute group is out of range");
    x->s->run = run_conv;
    if (x->symbolic)
        return 1;
    NEED(x, a->dims[1] % group == 0 && w->dims[1] == a->dims[1] / group && w->dims[0] % group == 0 && y->dims[0] == a->dims[0] && y->dims[1] == w->dims[0],
         HEDDLE_REASON_SHAPE, "operands and result do not fit");
    NEED(x, !bias || has_shape(bias, 1, w->dims), HEDDLE_REASON_SHAPE, "there must be one bias for each kernel");
    x->s->u.conv.group = group;
    if (!window_of(x, a, y, w->dims + 2, &x->s->u.conv.w))
        return 0;
    x->s->scratch = w->count / (w->dims[0] ? w->dims[0] : 1) * PANEL * (int64_t)sizeof(float);
    return 1;
}

/* ---- attention ---- */

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

static int64_t clamp(int64_t n, int64_t low, int64_t high) { return n < low ? low : n > high ? high : n; }

static const char *run_attention(const step *s, run *r)
{
    const struct attention *t = &s->u.attention;
    const float *q = in(s, r, 0), *k = in(s, r, 1), *v = in(s, r, 2);
    const void *mask = in(s, r, 3);
    const int64_t *valid = in(s, r, 6);
    float *y = out(s, r, 0), *score = (float *)r->scratch;
    int64_t ms[RANK] = {0}, masked = 0, size = t->value;
    if (mask) {
        broadcast_strides(in_type(s, r, 3)->dims, in_type(s, r, 3)->rank, 4, ms);
        masked = in_type(s, r, 3)->dims[in_type(s, r, 3)->rank - 1];
        ms[3] = 1; /* even if there is a single key in it: those beyond are not seen */
    }
    for (int64_t b = 0; b < t->batch; b++) {
        int64_t keys = valid ? valid[b] : t->keys, offset = valid ? valid[b] - t->seq : 0;
        if (keys < 0 || keys > t->keys)
            return "nonpad_kv_seqlen of Attention is out of range";
        for (int64_t h = 0; h < t->heads && !stopped(r); h++) {
            int64_t shared = h / (t->heads / t->kv_heads); /* head of K and V */
            const float *kh = k + b * t->kv_heads * t->keys * t->head + shared * t->k_head;
            const float *vh = v + b * t->kv_heads * t->keys * size + shared * t->v_head;
            for (int64_t i = 0; i < t->seq; i++) {
                const float *qi = q + b * t->heads * t->seq * t->head + h * t->q_head + i * t->q_seq;
                float *yi = y + b * t->heads * t->seq * size + h * t->y_head + i * t->y_seq;
                int64_t p = offset + i; /* position of the query among the keys; it sees those from low to high */
                int64_t low = t->left < 0 ? 0 : clamp(p - t->left, 0, keys);
                int64_t high = t->right < 0 ? keys : clamp(p + t->right + 1, 0, keys);
                float most = -INFINITY, sum = 0;
                if (mask && high > masked)
                    high = masked;
                for (int64_t j = low; j < high; j++) {
                    int64_t at = b * ms[0] + h * ms[1] + i * ms[2] + j * ms[3];
                    float bias = !mask ? 0 : in_type(s, r, 3)->elem == HEDDLE_F32 ? ((const float *)mask)[at] : ((const uint8_t *)mask)[at] ? 0 : -INFINITY;
                    score[j] = -INFINITY;
                    if (bias == -INFINITY)
                        continue;
                    score[j] = t->scale * dot(qi, kh + j * t->k_seq, t->head);
                    if (t->softcap > 0)
                        score[j] = t->softcap * tanhf(score[j] / t->softcap);
                    score[j] += bias;
                    most = score[j] > most ? score[j] : most;
                }
                for (int64_t d = 0; d < size; d++)
                    yi[d] = 0;
                for (int64_t j = low; j < high; j++) {
                    if (score[j] == -INFINITY)
                        continue; /* what lies there may be anything */
                    float f = expf(score[j] - most);
                    const float *vj = vh + j * t->v_seq;
                    sum += f;
                    for (int64_t d = 0; d < size; d++)
                        yi[d] += f * vj[d];
                }
                for (int64_t d = 0; d < size && sum > 0; d++)
                    yi[d] /= sum;
            }
        }
    }
    return NULL;
}

int look_attention(look *x)
{
    const tensor *q = operand(x, 0), *k = operand(x, 1), *v = operand(x, 2), *mask = operand(x, 3), *valid = operand(x, 6), *y = result(x, 0);
    step *s = x->s;
    struct attention *t = &s->u.attention;
    int flat = q->rank == 3, seq = flat ? 1 : 2; /* the dimension that counts tokens */
    int64_t left = heddle_node_int(x->g, &s->node, "left_window_size", -1), right = heddle_node_int(x->g, &s->node, "right_window_size", -1);
    float scale = heddle_node_float(x->g, &s->node, "scale", NAN);
    NEED(x, !operand(x, 4) && !operand(x, 5) && !result(x, 1) && !result(x, 2),
         HEDDLE_REASON_SHAPE, "past and present keys are not implemented: use TensorScatter");
    NEED(x, !result(x, 3), HEDDLE_REASON_SHAPE, "the output of scores is not implemented");
    NEED(x, k->elem == HEDDLE_F32 && v->elem == HEDDLE_F32 && y->elem == HEDDLE_F32, HEDDLE_REASON_TYPE, "keys and values must be f32");
    NEED(x, !mask || mask->elem == HEDDLE_F32 || mask->elem == HEDDLE_BOOL,
         HEDDLE_REASON_TYPE, "the mask is %s", heddle_elem_name(mask->elem));
    NEED(x, !valid || valid->elem == HEDDLE_I64, HEDDLE_REASON_TYPE, "nonpad_kv_seqlen is not i64");
    NEED(x, heddle_node_elem(x->g, &s->node, "softmax_precision", HEDDLE_F32) == HEDDLE_F32,
         HEDDLE_REASON_ATTRIBUTE, "attribute softmax_precision must be f32");
    NEED(x, left >= -1 && right >= -1 && left <= INT32_MAX && right <= INT32_MAX, HEDDLE_REASON_ATTRIBUTE, "a window is out of range");
    NEED(x, (q->rank == 3 || q->rank == 4) && k->rank == q->rank && v->rank == q->rank && y->rank == q->rank,
         HEDDLE_REASON_SHAPE, "want operands of rank 3 or 4");
    s->run = run_attention;
    t->left = left;
    t->right = heddle_node_int(x->g, &s->node, "is_causal", 0) ? 0 : right;
    t->softcap = heddle_node_float(x->g, &s->node, "softcap", 0);
    if (x->symbolic)
        return 1;
    int64_t n = flat ? heddle_node_int(x->g, &s->node, "q_num_heads", 0) : q->dims[1];
    int64_t kn = flat ? heddle_node_int(x->g, &s->node, "kv_num_heads", 0) : k->dims[1];
    NEED(x, n >= 1 && kn >= 1 && n % kn == 0 && (!flat || (q->dims[2] % n == 0 && k->dims[2] % kn == 0 && v->dims[2] % kn == 0)),
         HEDDLE_REASON_SHAPE, "heads do not share heads of K and V");
    int64_t head = flat ? q->dims[2] / n : q->dims[3], value = flat ? v->dims[2] / kn : v->dims[3];
    int64_t want_k[4] = {q->dims[0], flat ? k->dims[1] : kn, flat ? kn * head : k->dims[2], head};
    int64_t want_v[4] = {q->dims[0], flat ? k->dims[1] : kn, flat ? kn * value : k->dims[2], value};
    int64_t want_y[4] = {q->dims[0], q->dims[1], flat ? n * value : q->dims[2], value};
    NEED(x, has_shape(k, q->rank, want_k) && has_shape(v, q->rank, want_v) && has_shape(y, q->rank, want_y),
         HEDDLE_REASON_SHAPE, "operands and result do not fit");
    int64_t keys = k->dims[seq], scores[4] = {q->dims[0], n, q->dims[seq], keys};
    NEED(x, !valid || has_shape(valid, 1, q->dims), HEDDLE_REASON_SHAPE, "nonpad_kv_seqlen must have one number for each sample");
    if (mask) {
        tensor m = *mask;
        NEED(x, m.rank >= 1 && m.rank <= 4 && m.dims[m.rank - 1] <= keys, HEDDLE_REASON_SHAPE, "the mask does not broadcast to the scores");
        m.dims[m.rank - 1] = keys;
        NEED(x, broadcasts_to(&m, scores, 4), HEDDLE_REASON_SHAPE, "the mask does not broadcast to the scores");
    }
    t->batch = q->dims[0];
    t->heads = n;
    t->kv_heads = kn;
    t->seq = q->dims[seq];
    t->keys = keys;
    t->head = head;
    t->value = value;
    t->q_head = flat ? head : q->dims[2] * head;
    t->q_seq = flat ? n * head : head;
    t->k_head = flat ? head : keys * head;
    t->k_seq = flat ? kn * head : head;
    t->v_head = flat ? value : keys * value;
    t->v_seq = flat ? kn * value : value;
    t->y_head = flat ? value : q->dims[2] * value;
    t->y_seq = flat ? n * value : value;
    t->scale = scale == scale ? scale : (float)(1 / sqrt((double)head));
    s->scratch = keys * (int64_t)sizeof(float);
    return 1;
}

static const char *run_rope(const step *s, run *r)
{
    const struct rope *t = &s->u.rope;
    const float *x = in(s, r, 0), *cosines = in(s, r, 1), *sines = in(s, r, 2);
    const int64_t *positions = in(s, r, 3);
    int64_t half = t->rotate / 2, head = t->head, seq = t->seq, rows = in_type(s, r, 1)->dims[0];
    float *y = out(s, r, 0);
    for (int64_t b = 0; b < t->batch; b++)
        for (int64_t h = 0; h < t->heads; h++)
            for (int64_t i = 0; i < seq; i++) {
                int64_t at = b * t->heads * seq * head + h * t->x_head + i * t->x_seq, row = b * seq + i;
                if (positions && ((row = positions[row]) < 0 || row >= rows))
                    return "a position of RotaryEmbedding is out of range";
                memcpy(y + at, x + at, (size_t)head * sizeof *y);
                for (int64_t d = 0; d < half; d++) {
                    int64_t one = at + (t->interleaved ? 2 * d : d), two = at + (t->interleaved ? 2 * d + 1 : d + half);
                    double c = cosines[row * half + d], sn = sines[row * half + d], p = x[one], q = x[two];
                    y[one] = (float)(c * p - sn * q);
                    y[two] = (float)(sn * p + c * q);
                }
            }
    return NULL;
}

int look_rope(look *x)
{
    const tensor *a = operand(x, 0), *c = operand(x, 1), *sn = operand(x, 2), *positions = operand(x, 3), *y = result(x, 0);
    step *s = x->s;
    struct rope *t = &s->u.rope;
    int flat = a->rank == 3;
    int64_t heads = heddle_node_int(x->g, &s->node, "num_heads", 0), rotate = heddle_node_int(x->g, &s->node, "rotary_embedding_dim", 0);
    NEED(x, flat || a->rank == 4, HEDDLE_REASON_SHAPE, "want an operand of rank 3 or 4");
    NEED(x, c->elem == HEDDLE_F32 && sn->elem == HEDDLE_F32 && y->elem == HEDDLE_F32 && (!positions || positions->elem == HEDDLE_I64),
         HEDDLE_REASON_TYPE, "operands have other types");
    s->run = run_rope;
    t->interleaved = heddle_node_int(x->g, &s->node, "interleaved", 0) != 0;
    if (x->symbolic)
        return 1;
    heads = flat ? heads : a->dims[1];
    NEED(x, heads >= 0 && (!flat || (heads > 0 && a->dims[2] % heads == 0)),
         HEDDLE_REASON_ATTRIBUTE, "attribute num_heads does not divide the operand");
    int64_t head = flat ? a->dims[2] / heads : a->dims[3], seq = flat ? a->dims[1] : a->dims[2];
    rotate = rotate ? rotate : head;
    NEED(x, rotate >= 0 && rotate <= head && rotate % 2 == 0,
         HEDDLE_REASON_ATTRIBUTE, "attribute rotary_embedding_dim does not fit the heads");
    int64_t table[3] = {a->dims[0], seq, rotate / 2}, ids[2] = {a->dims[0], seq}, rows[2] = {c->rank ? c->dims[0] : 0, rotate / 2};
    NEED(x, positions ? has_shape(positions, 2, ids) && has_shape(c, 2, rows) && has_shape(sn, 2, rows) : has_shape(c, 3, table) && has_shape(sn, 3, table),
         HEDDLE_REASON_SHAPE, "the caches do not fit the operand");
    NEED(x, has_shape(y, a->rank, a->dims), HEDDLE_REASON_SHAPE, "the result has another shape than the operand");
    t->batch = a->dims[0];
    t->heads = heads;
    t->seq = seq;
    t->head = head;
    t->rotate = rotate;
    t->x_head = flat ? head : seq * head;
    t->x_seq = flat ? heads * head : head;
    return 1;
}
