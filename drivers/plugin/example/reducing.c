/* Operators that compute an element from many: reductions, normalisations, pools. */
#include "example.h"

#include <math.h>

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

int look_reduce(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    int64_t list[RANK] = {0}, n = 0, want = 1;
    step *s = x->s;
    s->run = run_reduce;
    s->u.reduce.what = heddle_str_is(s->node.op, "ReduceMax") ? 'x' : heddle_str_is(s->node.op, "ReduceMin") ? 'n' :
                       heddle_str_is(s->node.op, "ReduceMean") ? 'm' : 's';
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

int look_softmax(look *x)
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
    heddle_str mul = {"Mul", 3}, add = {"Add", 3};
    uint8_t elem;
    binary(row_of(mul, HEDDLE_F32, &elem), out(s, r, 0), 4, t, out(s, r, 0), t, in(s, r, 1), in_type(s, r, 1));
    if (in(s, r, 2))
        binary(row_of(add, HEDDLE_F32, &elem), out(s, r, 0), 4, t, out(s, r, 0), t, in(s, r, 2), in_type(s, r, 2));
    return NULL;
}

int look_norm(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    step *s = x->s;
    if (!axis_of(x, -1, a) || !look_same(x))
        return 0;
    s->run = run_norm;
    s->u.norm.centre = heddle_str_is(s->node.op, "LayerNormalization");
    s->u.norm.epsilon = heddle_node_float(x->g, &s->node, "epsilon", 1e-5f);
    NEED(x, heddle_node_elem(x->g, &s->node, "stash_type", HEDDLE_F32) == HEDDLE_F32,
         HEDDLE_REASON_ATTRIBUTE, "attribute stash_type must be f32");
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
                NEED(x, list[i][k] >= names[i].least && list[i][k] <= INT32_MAX,
                     HEDDLE_REASON_ATTRIBUTE, "attribute %s is out of range", names[i].name);
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
        NEED(x, w->kernel[d] >= 1 && w->kernel[d] <= INT32_MAX && w->in[d] <= INT32_MAX && w->out[d] <= INT32_MAX,
             HEDDLE_REASON_LIMIT, "the window is too large");
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

/* How many of a window's elements, dilation apart, begin within room. */
static int64_t taps(int64_t room, int64_t dilation, int64_t kernel)
{
    int64_t n = room <= 0 ? 0 : (room - 1) / dilation + 1;
    return n < kernel ? n : kernel;
}

static const char *run_average_pool(const step *s, run *r)
{
    const window *w = &s->u.conv.w;
    const tensor *t = out_type(s, r, 0);
    const float *a = in(s, r, 0);
    float *y = out(s, r, 0);
    int64_t planes = t->dims[0] * t->dims[1], at[2];
    for (int64_t c = 0; c < planes; c++, a += w->in[0] * w->in[1])
        for (at[0] = 0; at[0] < w->out[0]; at[0]++)
            for (at[1] = 0; at[1] < w->out[1]; at[1]++) {
                int64_t begin[2], from[2], to[2], inside = 1, padded = 1;
                double sum = 0;
                for (int d = 0; d < 2; d++) { /* the window's elements from to to are in the picture */
                    begin[d] = at[d] * w->stride[d] - w->before[d];
                    from[d] = taps(-begin[d], w->dilation[d], w->kernel[d]);
                    to[d] = taps(w->in[d] - begin[d], w->dilation[d], w->kernel[d]);
                    inside *= to[d] > from[d] ? to[d] - from[d] : 0;
                    padded *= taps(w->in[d] + w->after[d] - begin[d], w->dilation[d], w->kernel[d]);
                }
                for (int64_t ky = from[0]; ky < to[0]; ky++)
                    for (int64_t kx = from[1]; kx < to[1]; kx++)
                        sum += a[(begin[0] + ky * w->dilation[0]) * w->in[1] + begin[1] + kx * w->dilation[1]];
                *y++ = (float)(sum / (double)(s->u.conv.with_pad ? padded : inside));
            }
    return NULL;
}

int look_average_pool(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    heddle_list l;
    int64_t kernel[RANK];
    NEED(x, (a->rank == 3 || a->rank == 4) && y->rank == a->rank && y->elem == a->elem, HEDDLE_REASON_SHAPE, "only [N,C,W] and [N,C,H,W]");
    NEED(x, heddle_node_ints(x->g, &x->s->node, "kernel_shape", &l) && (int)l.count == a->rank - 2,
         HEDDLE_REASON_ATTRIBUTE, "attribute kernel_shape does not fit");
    heddle_graph_ints(x->g, l, kernel);
    x->s->u.conv.with_pad = heddle_node_int(x->g, &x->s->node, "count_include_pad", 0) != 0;
    x->s->run = run_average_pool;
    if (x->symbolic)
        return 1;
    NEED(x, y->dims[0] == a->dims[0] && y->dims[1] == a->dims[1],
         HEDDLE_REASON_SHAPE, "batch and channels of the result differ from the operand's");
    return window_of(x, a, y, kernel, &x->s->u.conv.w);
}
