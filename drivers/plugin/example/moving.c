/* Operators that only move elements. */
#include "example.h"

static const char *run_same(const step *s, run *r)
{
    void *a = in(s, r, 0), *y = out(s, r, 0);
    if (a != y)
        memcpy(y, a, (size_t)out_type(s, r, 0)->size);
    return NULL;
}

/* Reshape and its like keep the elements in order; the shape is the result's. */
int look_same(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    NEED(x, y->elem == a->elem && (x->symbolic || y->count == a->count),
         HEDDLE_REASON_SHAPE, "the result has not as many elements as the operand");
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

int look_transpose(look *x)
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
        NEED(x, y->rank == a->rank && y->dims[i] == a->dims[from] && y->elem == a->elem,
             HEDDLE_REASON_SHAPE, "the result has not the permuted shape");
        x->s->u.view.stride[i] = stride[from];
    }
    return 1;
}

int look_expand(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0);
    x->s->run = run_view;
    if (x->symbolic)
        return 1;
    NEED(x, y->elem == a->elem && broadcasts_to(a, y->dims, y->rank), HEDDLE_REASON_SHAPE, "the operand does not broadcast to the result");
    broadcast_strides(a->dims, a->rank, y->rank, x->s->u.view.stride);
    return 1;
}

int look_slice(look *x)
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

int look_concat(look *x)
{
    const tensor *y = result(x, 0);
    int64_t total = 0;
    if (!axis_of(x, 0, y))
        return 0;
    x->s->run = run_concat;
    for (uint32_t i = 0; i < x->s->node.in.count; i++) {
        const tensor *a = operand(x, i);
        NEED(x, a && a->elem == y->elem && a->rank == y->rank,
             HEDDLE_REASON_TYPE, "operand %u has another type or rank than the result", i);
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

int look_split(look *x)
{
    const tensor *a = operand(x, 0), *lengths = operand(x, 1);
    int64_t parts = heddle_node_int(x->g, &x->s->node, "num_outputs", x->s->node.out.count), at = 0;
    if (!axis_of(x, 0, a))
        return 0;
    x->s->run = run_split;
    if (x->symbolic)
        return 1;
    NEED(x, parts >= 1 && (lengths || parts <= a->dims[x->s->axis] || parts <= 4096),
         HEDDLE_REASON_ATTRIBUTE, "attribute num_outputs is out of range");
    for (uint32_t i = 0; i < x->s->node.out.count; i++) {
        const tensor *y = result(x, i);
        int64_t n = share(a->dims[x->s->axis], parts, i);
        NEED(x, !lengths || int_at(x, 1, i, &n), HEDDLE_REASON_SHAPE, "operand split is not a constant");
        NEED(x, n >= 0 && n <= a->dims[x->s->axis] - at, HEDDLE_REASON_SHAPE, "the parts do not make up the operand");
        at += n;
        for (int d = 0; y && d < a->rank; d++)
            NEED(x, y->elem == a->elem && y->rank == a->rank && y->dims[d] == (d == x->s->axis ? n : a->dims[d]),
                 HEDDLE_REASON_SHAPE, "result %u has another shape", i);
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

int look_pad(look *x)
{
    const tensor *a = operand(x, 0), *y = result(x, 0), *fill = operand(x, 2);
    int64_t pads[2 * RANK], axis[RANK], n;
    uint32_t seen;
    NEED(x, heddle_node_str_is(x->g, &x->s->node, "mode", "constant", "constant"),
         HEDDLE_REASON_ATTRIBUTE, "attribute mode must be constant");
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

int look_gather(look *x)
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

int look_tensor_scatter(look *x)
{
    const tensor *a = operand(x, 0), *u = operand(x, 1), *start = operand(x, 2), *y = result(x, 0);
    if (!axis_of(x, -2, a))
        return 0;
    x->s->u.scatter.circular = heddle_node_str_is(x->g, &x->s->node, "mode", "linear", "circular");
    x->s->run = run_tensor_scatter;
    NEED(x, x->s->axis > 0 && u->rank == a->rank, HEDDLE_REASON_ATTRIBUTE, "attribute axis is the batch, or the update has another rank");
    NEED(x, u->elem == a->elem && y->elem == a->elem && (!start || start->elem == HEDDLE_I64),
         HEDDLE_REASON_TYPE, "the update has another type than the cache");
    if (x->symbolic)
        return 1;
    for (int d = 0; d < a->rank; d++)
        NEED(x, u->dims[d] == a->dims[d] || (d == x->s->axis && u->dims[d] < a->dims[d]),
             HEDDLE_REASON_SHAPE, "the update does not fit the cache");
    NEED(x, has_shape(y, a->rank, a->dims) && (!start || has_shape(start, 1, a->dims)),
         HEDDLE_REASON_SHAPE, "there must be one write index for each sample");
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

int look_range(look *x)
{
    const tensor *y = result(x, 0);
    for (uint32_t i = 0; i < 3; i++)
        NEED(x, operand(x, i)->elem == y->elem && operand(x, i)->rank == 0,
             HEDDLE_REASON_TYPE, "start, limit and delta must be scalars of the result's type");
    x->s->run = run_range;
    return 1;
}
