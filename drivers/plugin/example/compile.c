/*
 * From a graph to an executable: weights are read into the form that kernels
 * want, every value gets a place, and a run goes through the steps in the order
 * of the graph's nodes.
 */
#define _GNU_SOURCE
#include "example.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Where a value lies during a run. */
typedef struct place {
    enum { NOWHERE, CONSTANT, ARGUMENT, ARENA } kind;
    int64_t at;         /* index of the argument, or offset in the arena */
    const void *bytes;  /* of a constant */
    int32_t state;      /* index of the state that the value is a version of, or -1 */
} place;

/* A source of weights, mapped. */
typedef struct source {
    void *map;
    size_t map_size;
    const char *bytes;
    int64_t size; /* -1 when it was not given */
} source;

/* A free arena: its first bytes link to the next one. */
typedef struct arena { struct arena *next; } arena;

struct executable {
    void *blob; /* a copy of the graph, which g reads */
    heddle_graph g;
    tensor *values;
    place *places;
    step *steps;
    source *sources;
    void **owned;  /* constants in a form of our own, to be freed */
    uint32_t owned_count, owned_room;
    uint32_t args; /* inputs, outputs, states */
    int64_t arena_size, scratch_size;
    uint64_t weights, mapped, hash;
    pthread_mutex_t mutex; /* of the arenas that no run uses */
    arena *arenas;
};

uint64_t hash_bytes(const void *data, uint64_t size)
{
    uint64_t h = 14695981039346656037u;
    for (uint64_t i = 0; i < size; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return h;
}

static int64_t round_up(int64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* Memory to free, aligned for anything; NULL when there is none. */
static void *allocate(int64_t size)
{
    void *p = NULL;
    return posix_memalign(&p, ALIGN, (size_t)(size > 0 ? size : 1)) == 0 ? p : NULL;
}

/* ---- types ---- */

tensor *read_values(const heddle_graph *g, char *text)
{
    uint32_t n = heddle_graph_values(g);
    tensor *values = calloc(n + 1u, sizeof *values);
    for (uint32_t i = 0; values && i < n; i++) {
        heddle_value v = heddle_graph_value(g, i);
        tensor *t = &values[i];
        int64_t all = 1; /* the product of all dimensions but zeros: parts of it fit too */
        t->elem = v.type.elem;
        t->store = v.type.store ? v.type.store : v.type.elem;
        t->kind = v.kind;
        t->plain = v.type.kind == HEDDLE_PLAIN;
        t->rank = (int)v.type.shape.count;
        t->known = heddle_graph_shape(g, &v.type, t->dims) >= 0;
        for (uint32_t k = 0; k < v.parts.count; k++)
            t->plain = t->plain && heddle_graph_part(g, v.parts, k).type.kind == HEDDLE_PLAIN;
        for (int d = 0; t->known && d < t->rank; d++) {
            if (t->dims[d] > 0 && all > ((int64_t)1 << 50) / t->dims[d]) {
                snprintf(text, MAX_TEXT, "value %.100s is too large", v.name.data);
                free(values);
                return NULL;
            }
            all *= t->dims[d] > 0 ? t->dims[d] : 1;
        }
        if (t->known) {
            heddle_count(t->dims, (uint32_t)t->rank, &t->count);
            heddle_size(t->elem, t->dims, (uint32_t)t->rank, &t->size);
        }
    }
    if (!values)
        snprintf(text, MAX_TEXT, "no memory for %u values", n);
    return values;
}

/* ---- weights ---- */

static float half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    float f;
    if (exponent == 0) {
        f = (float)fraction * 5.9604644775390625e-8f; /* 2^-24: exact */
        return sign ? -f : f;
    }
    bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Rounds to the nearest f16 or bf16, ties to even. */
static float round_to(float f, uint8_t elem)
{
    uint32_t bits, drop = 16;
    memcpy(&bits, &f, sizeof bits);
    uint32_t exponent = bits >> 23 & 255, size = bits & 0x7fffffff;
    if (exponent == 255)
        return f;
    if (elem == HEDDLE_F16) {
        if (size < 0x33000000 + 0) /* below half of the least number */
            return f < 0 ? -0.0f : 0.0f;
        drop = exponent > 112 ? 13 : 13 + (113 - exponent);
    }
    if (drop >= 24) { /* around the least number of f16, 2^-24 */
        float least = 5.9604644775390625e-8f, a = f < 0 ? -f : f;
        a = a > least / 2 ? least : 0;
        return f < 0 ? -a : a;
    }
    size += ((uint32_t)1 << (drop - 1)) - 1 + (size >> drop & 1);
    size = size >> drop << drop;
    if (elem == HEDDLE_F16 && size > 0x477fe000) /* beyond 65504 */
        size = 0x7f800000;
    bits = (bits & 0x80000000) | size;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float float_at(const char *p, uint8_t elem, int64_t i)
{
    double d;
    float f;
    uint16_t h;
    uint32_t bits;
    switch (elem) {
    case HEDDLE_F64:
        memcpy(&d, p + 8 * i, 8);
        return (float)d;
    case HEDDLE_F16:
        memcpy(&h, p + 2 * i, 2);
        return half(h);
    case HEDDLE_BF16:
        memcpy(&h, p + 2 * i, 2);
        bits = (uint32_t)h << 16;
        memcpy(&f, &bits, 4);
        return f;
    }
    memcpy(&f, p + 4 * i, 4);
    return f;
}

static void *own(executable *e, void *p)
{
    if (p && e->owned_count == e->owned_room) {
        uint32_t room = 2 * e->owned_room + 16;
        void **more = realloc(e->owned, room * sizeof *more);
        if (!more) {
            free(p);
            return NULL;
        }
        e->owned = more;
        e->owned_room = room;
    }
    if (p)
        e->owned[e->owned_count++] = p;
    return p;
}

/* Returns where the bytes of a part begin, and checks that they are there. */
static const char *part_bytes(const executable *e, const heddle_part *p, int64_t size, char *text)
{
    const char *why = "has no data";
    if (p->is_inline)
        return p->bytes.data;
    if (p->source >= 0) {
        const source *s = &e->sources[p->source];
        if (s->size >= size && p->offset <= s->size - size)
            return s->bytes + p->offset;
        why = s->size < 0 ? "refers to a source that was not given" : "leaves its source: the file is truncated";
    }
    snprintf(text, MAX_TEXT, "it %s", why);
    return NULL;
}

/* Returns the elements of a constant, dense and in order, in the type that
 * operators see: where they lie, or a copy, which *copy is set to. A constant may
 * be a view: parts that are joined along an axis, each a box of a stored tensor,
 * and the whole permuted. */
static const void *read_constant(executable *e, uint32_t id, void **copy, char *text)
{
    const heddle_graph *g = &e->g;
    const tensor *t = &e->values[id];
    heddle_value v = heddle_graph_value(g, id);
    int64_t perm[RANK], y_stride[RANK], to[RANK], from[RANK], dims[RANK], stored[RANK], stride[RANK], start[RANK] = {0}, box[RANK];
    int64_t joined = 0; /* length of the parts so far */
    int floats = t->elem == HEDDLE_F32;
    char *y;
    *copy = NULL;
    if (v.is_dims) {
        int64_t *list = *copy = allocate(t->size);
        for (int64_t i = 0; list && i < t->count; i++) {
            heddle_dim d = heddle_graph_dim(g, v.dims, (uint32_t)i);
            list[i] = d.value;
        }
        return list;
    }
    for (int i = 0; i < t->rank; i++)
        perm[i] = i;
    if (v.has_perm)
        heddle_graph_ints(g, v.perm, perm);
    if (v.parts.count == 1) { /* as it lies? */
        heddle_part p = heddle_graph_part(g, v.parts, 0);
        int same = !p.is_slice && p.type.elem == t->elem && t->store == t->elem;
        for (int i = 0; i < t->rank; i++)
            same = same && perm[i] == i;
        if (same) {
            const char *b = part_bytes(e, &p, t->size, text);
            if (!b || (uintptr_t)b % (heddle_elem_bits(t->elem) / 8 + !(heddle_elem_bits(t->elem) / 8)) == 0)
                return b;
        }
    }
    if (!(y = *copy = allocate(t->size))) {
        snprintf(text, MAX_TEXT, "no memory for %lld bytes", (long long)t->size);
        return NULL;
    }
    dense_strides(t->dims, t->rank, y_stride);
    for (uint32_t k = 0; k < v.parts.count; k++) {
        heddle_part p = heddle_graph_part(g, v.parts, k);
        int64_t elem = heddle_elem_bits(p.type.elem) / 8, size = 0, count = 0, at = 0, offset = 0;
        heddle_graph_ints(g, p.type.shape, stored);
        memcpy(box, stored, sizeof box);
        if (p.is_slice) {
            heddle_graph_ints(g, p.start, start);
            heddle_graph_ints(g, p.count, box);
        }
        heddle_size(p.type.elem, stored, (uint32_t)t->rank, &size); /* opening the graph has checked it */
        heddle_count(box, (uint32_t)t->rank, &count);
        const char *b = part_bytes(e, &p, size, text);
        if (!b || elem == 0 || (!floats && p.type.elem != t->elem)) {
            if (b)
                snprintf(text, MAX_TEXT, "it is stored as %s", heddle_elem_name(p.type.elem));
            return NULL;
        }
        if (count == 0)
            continue;
        dense_strides(stored, t->rank, stride);
        for (int i = 0; i < t->rank; i++) {
            int d = (int)perm[i]; /* stored dimension */
            dims[i] = box[d];
            from[i] = stride[d];
            to[i] = y_stride[i];
            at += p.is_slice ? start[d] * stride[d] : 0;
            offset += d == v.axis ? joined * y_stride[i] : 0;
        }
        if (floats && (p.type.elem != HEDDLE_F32 || t->store != HEDDLE_F32)) {
            char *tight = allocate(count * elem);
            float *f = tight ? allocate(count * (int64_t)sizeof *f) : NULL;
            if (!f) {
                free(tight);
                snprintf(text, MAX_TEXT, "no memory for %lld elements", (long long)count);
                return NULL;
            }
            dense_strides(dims, t->rank, stride);
            move_box(tight, stride, b + at * elem, from, dims, t->rank, elem);
            for (int64_t i = 0; i < count; i++) {
                f[i] = float_at(tight, p.type.elem, i);
                if (t->store != HEDDLE_F32 && t->store != p.type.elem)
                    f[i] = round_to(f[i], t->store); /* what it would be read back as, were it stored so */
            }
            move_box(y + offset * (int64_t)sizeof *f, to, f, stride, dims, t->rank, sizeof *f);
            free(tight);
            free(f);
        } else {
            move_box(y + offset * elem, to, b + at * elem, from, dims, t->rank, elem);
        }
        joined += t->rank ? box[v.axis < t->rank ? v.axis : 0] : 0;
    }
    return y;
}

/* Gives a value that is a constant its place. */
static int place_constant(executable *e, uint32_t id, char *text)
{
    void *copy;
    place *p = &e->places[id];
    if (e->values[id].kind != HEDDLE_VALUE_CONST || p->kind == CONSTANT)
        return 1;
    p->bytes = read_constant(e, id, &copy, text);
    if (!p->bytes) {
        free(copy);
        return 0;
    }
    if (copy && !own(e, copy))
        return 0;
    *(copy ? &e->weights : &e->mapped) += (uint64_t)e->values[id].size;
    p->kind = CONSTANT;
    return 1;
}

/* Packs the right operand of a product, if it is one constant matrix. */
static int pack_constant(executable *e, step *s, char *text)
{
    int32_t id = heddle_node_in(&e->g, &s->node, 1);
    void *copy;
    const void *b;
    float *panels;
    int64_t size = s->k * ((s->n + PANEL - 1) / PANEL * PANEL) * (int64_t)sizeof *panels;
    if (s->k <= 0 || s->n <= 0 || e->values[id].kind != HEDDLE_VALUE_CONST || e->values[id].count != s->k * s->n)
        return 1;
    b = read_constant(e, (uint32_t)id, &copy, text);
    panels = b ? own(e, allocate(size)) : NULL;
    if (panels) {
        pack(panels, b, s->row_stride, s->col_stride, s->k, s->n);
        s->packed = panels;
        e->weights += (uint64_t)size;
    }
    free(copy);
    return panels != NULL;
}

static int32_t map_sources(executable *e, const heddle_weight *weights, uint32_t count, char *text)
{
    uint32_t n = heddle_graph_sources(&e->g);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    e->sources = calloc(n + 1u, sizeof *e->sources);
    if (!e->sources)
        return HEDDLE_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        e->sources[i].size = -1;
    for (uint32_t i = 0; i < count; i++) {
        const heddle_weight *w = &weights[i];
        source *s = &e->sources[w->source < n ? w->source : n];
        uint64_t skip = w->offset % page;
        struct stat st;
        if (w->source >= n || s->size >= 0 || w->size > INT64_MAX / 2 || w->offset > INT64_MAX / 2) {
            snprintf(text, MAX_TEXT, "weight %u is of no source of the graph, or of one that was given before", i);
            return HEDDLE_INVALID;
        }
        /* To touch a page that the file does not have would end the process. */
        if (fstat(w->fd, &st) != 0 || (uint64_t)st.st_size < w->offset + w->size) {
            snprintf(text, MAX_TEXT, "source %u is shorter than %llu bytes: the file is truncated", w->source, (unsigned long long)w->size);
            return HEDDLE_INVALID;
        }
        s->size = (int64_t)w->size;
        if (w->size == 0)
            continue;
        s->map_size = w->size + skip;
        s->map = mmap(NULL, s->map_size, PROT_READ, MAP_SHARED, w->fd, (off_t)(w->offset - skip));
        if (s->map == MAP_FAILED) {
            s->map = NULL;
            snprintf(text, MAX_TEXT, "source %u cannot be mapped", w->source);
            return HEDDLE_ERROR;
        }
        s->bytes = (const char *)s->map + skip;
    }
    return HEDDLE_OK;
}

/* ---- places ---- */

/* The use of a stretch of the arena, for as long as steps first to last run. */
typedef struct stretch {
    int64_t begin, end;
    uint32_t last;
} stretch;

/* Puts results where they are when a run is over, and the others in the arena,
 * where a stretch is used again after its value's last use. */
static int place_results(executable *e, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t values = heddle_graph_values(g), nodes = heddle_graph_nodes(g), inputs = heddle_graph_inputs(g), outputs = heddle_graph_outputs(g), live = 0;
    uint32_t *last = calloc(values + 1u, sizeof *last);
    stretch *used = calloc(values + 1u, sizeof *used); /* ascending */
    int ok = last && used;
    for (uint32_t i = 0; ok && i < values; i++)
        e->places[i].state = -1;
    for (uint32_t i = 0; ok && i < inputs; i++) {
        place *p = &e->places[heddle_graph_input(g, i).value];
        p->kind = ARGUMENT;
        p->at = i;
    }
    for (uint32_t i = 0; ok && i < heddle_graph_states(g); i++) {
        place *p = &e->places[heddle_graph_state(g, i).first];
        p->kind = ARGUMENT;
        p->at = inputs + outputs + i;
        p->state = (int32_t)i;
    }
    for (uint32_t i = 0; ok && i < nodes; i++) {
        heddle_node n = e->steps[i].node;
        for (uint32_t k = 0; k < n.in.count; k++)
            if (heddle_node_in(g, &n, k) >= 0)
                last[heddle_node_in(g, &n, k)] = i;
        /* The next version of a state lies where the version before does. */
        if (heddle_str_is(n.op, "TensorScatter") && e->places[heddle_node_in(g, &n, 0)].state >= 0)
            e->places[heddle_node_out(g, &n, 0)] = e->places[heddle_node_in(g, &n, 0)];
    }
    for (uint32_t i = 0; ok && i < outputs; i++) {
        int32_t v = heddle_graph_output(g, i).value;
        last[v] = nodes; /* it may have to be copied to a second output */
        if (e->values[v].kind == HEDDLE_VALUE_RESULT && e->places[v].kind == NOWHERE) {
            e->places[v].kind = ARGUMENT;
            e->places[v].at = inputs + i;
        }
    }
    for (uint32_t i = 0; ok && i < nodes; i++) {
        heddle_node n = e->steps[i].node;
        uint32_t kept = 0;
        for (uint32_t k = 0; k < live; k++) /* let go of what was used last before this step */
            if (used[k].last >= i)
                used[kept++] = used[k];
        live = kept;
        for (uint32_t k = 0; k < n.out.count; k++) {
            int32_t v = heddle_node_out(g, &n, k);
            uint32_t at = 0;
            int64_t begin = 0, size;
            if (v < 0 || e->places[v].kind != NOWHERE)
                continue;
            size = round_up(e->values[v].size);
            while (at < live && used[at].begin < begin + size)
                begin = used[at++].end;
            memmove(used + at + 1, used + at, (live - at) * sizeof *used);
            used[at].begin = begin;
            used[at].end = begin + size;
            used[at].last = last[v] > i ? last[v] : i;
            live++;
            e->places[v].kind = ARENA;
            e->places[v].at = begin;
            if (begin + size > e->arena_size)
                e->arena_size = begin + size;
        }
        if (e->steps[i].scratch > e->scratch_size)
            e->scratch_size = e->steps[i].scratch;
    }
    free(last);
    free(used);
    if (!ok)
        snprintf(text, MAX_TEXT, "no memory for the plan");
    else if (e->arena_size > MAX_BYTES || e->scratch_size > MAX_BYTES) {
        snprintf(text, MAX_TEXT, "a run needs %lld bytes of working memory", (long long)(e->arena_size + e->scratch_size));
        ok = 0;
    }
    return ok;
}

/* ---- compiling ---- */

static int32_t build(executable *e, const heddle_weight *weights, uint32_t count, const uint32_t *cancel, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t nodes = heddle_graph_nodes(g), outputs = heddle_graph_outputs(g);
    look x;
    int32_t status;
    char why[MAX_TEXT] = "";
    if (heddle_graph_symbols(g) > 0 || nodes > MAX_NODES) {
        snprintf(text, MAX_TEXT, nodes > MAX_NODES ? "the graph has more than 65536 nodes" : "the graph has symbols: specialise it, shapes must be static");
        return HEDDLE_UNSUPPORTED;
    }
    e->args = heddle_graph_inputs(g) + outputs + heddle_graph_states(g);
    if (!(e->values = read_values(g, text)))
        return HEDDLE_UNSUPPORTED;
    for (uint32_t i = 0; i < heddle_graph_values(g); i++)
        if (!e->values[i].known || !e->values[i].plain || e->values[i].size > MAX_BYTES) {
            snprintf(text, MAX_TEXT, "value %.64s is not of a plain type, static and of at most %lld bytes", heddle_graph_value(g, i).name.data, (long long)MAX_BYTES);
            return HEDDLE_UNSUPPORTED;
        }
    e->places = calloc(heddle_graph_values(g) + 1u, sizeof *e->places);
    e->steps = calloc(nodes + 1u, sizeof *e->steps);
    if (!e->places || !e->steps)
        return HEDDLE_OUT_OF_MEMORY;
    x.g = g;
    x.values = e->values;
    for (uint32_t i = 0; i < nodes; i++) {
        x.s = &e->steps[i];
        if (!look_at(&x, i)) {
            snprintf(text, MAX_TEXT, "node %u %.48s (%.32s): %.120s", i, x.s->node.name.data, x.s->node.op.data, x.text);
            return HEDDLE_UNSUPPORTED;
        }
    }
    if ((status = map_sources(e, weights, count, text)) != HEDDLE_OK)
        return status;
    if (!place_results(e, text))
        return HEDDLE_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < nodes; i++) {
        step *s = &e->steps[i];
        if (heddle_cancelled(cancel))
            return HEDDLE_CANCELLED;
        if (!pack_constant(e, s, why))
            break;
        for (uint32_t k = 0; k < s->node.in.count; k++) {
            int32_t v = heddle_node_in(g, &s->node, k);
            if (v >= 0 && !(s->packed && k == 1) && !place_constant(e, (uint32_t)v, why)) {
                snprintf(text, MAX_TEXT, "weight %.64s: %.160s", heddle_graph_value(g, (uint32_t)v).name.data, why);
                return HEDDLE_INVALID;
            }
        }
    }
    for (uint32_t i = 0; i < outputs && !why[0]; i++)
        if (!place_constant(e, (uint32_t)heddle_graph_output(g, i).value, why))
            break;
    snprintf(text, MAX_TEXT, "a weight: %.160s", why);
    return why[0] ? HEDDLE_INVALID : HEDDLE_OK;
}

executable *compile(const void *graph, uint64_t size, const heddle_weight *weights, uint32_t count, const uint32_t *cancel,
                    int32_t *status, char *text)
{
    executable *e = calloc(1, sizeof *e);
    const char *why;
    *status = HEDDLE_OUT_OF_MEMORY;
    if (!e)
        return NULL;
    pthread_mutex_init(&e->mutex, NULL);
    if (size <= (uint64_t)MAX_BYTES && (e->blob = allocate((int64_t)size))) {
        memcpy(e->blob, graph, size);
        e->hash = hash_bytes(graph, size);
        why = heddle_graph_open(e->blob, size, &e->g);
        *status = why ? HEDDLE_INVALID : build(e, weights, count, cancel, text);
        if (why)
            snprintf(text, MAX_TEXT, "%s", why);
    }
    if (*status == HEDDLE_OK)
        return e;
    release(e);
    return NULL;
}

void release(executable *e)
{
    while (e->arenas) {
        arena *a = e->arenas;
        e->arenas = a->next;
        free(a);
    }
    for (uint32_t i = 0; i < e->owned_count; i++)
        free(e->owned[i]);
    for (uint32_t i = 0; e->sources && i < heddle_graph_sources(&e->g); i++)
        if (e->sources[i].map)
            munmap(e->sources[i].map, e->sources[i].map_size);
    free(e->owned);
    free(e->sources);
    free(e->steps);
    free(e->places);
    free(e->values);
    free(e->blob);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

uint64_t graph_hash(const executable *e) { return e->hash; }

void footprint(const executable *e, uint64_t *weights, uint64_t *mapped, uint64_t *scratch)
{
    *weights = e->weights;
    *mapped = e->mapped;
    *scratch = (uint64_t)(e->arena_size + e->scratch_size);
}

/* ---- running ---- */

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int stopped(run *r)
{
    if (!r->stop && heddle_cancelled(r->cancel))
        r->stop = HEDDLE_CANCELLED;
    if (!r->stop && r->deadline && now() > r->deadline)
        r->stop = HEDDLE_TIMEOUT;
    return r->stop != 0;
}

/* Whether a step has nothing to compute. */
static int empty(const executable *e, const step *s)
{
    for (uint32_t i = 0; i < s->node.out.count; i++) {
        int32_t v = heddle_node_out(&e->g, &s->node, i);
        if (v >= 0 && e->values[v].count > 0)
            return 0;
    }
    return 1;
}

static int32_t run_steps(executable *e, run *r, const heddle_run_args *a, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t inputs = heddle_graph_inputs(g);
    const char *why;
    for (uint32_t i = 0; i < heddle_graph_nodes(g) && !stopped(r); i++) {
        step *s = &e->steps[i];
        if (!empty(e, s) && (why = s->run(s, r))) {
            snprintf(text, MAX_TEXT, "node %u %.64s: %s", i, s->node.name.data, why);
            return HEDDLE_INVALID;
        }
    }
    for (uint32_t i = 0; i < heddle_graph_outputs(g) && !stopped(r); i++) { /* what has its place elsewhere */
        int32_t v = heddle_graph_output(g, i).value;
        if (r->at[v] != a->args[inputs + i].bytes)
            memcpy(a->args[inputs + i].bytes, r->at[v], (size_t)e->values[v].size);
    }
    if (r->stop)
        snprintf(text, MAX_TEXT, r->stop == HEDDLE_CANCELLED ? "cancelled" : "the time is up");
    return r->stop;
}

int32_t execute(executable *e, const heddle_run_args *a, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t values = heddle_graph_values(g), inputs = heddle_graph_inputs(g), outputs = heddle_graph_outputs(g);
    int64_t table = round_up((int64_t)sizeof(arena) + (int64_t)values * (int64_t)sizeof(void *));
    run r = {e->values, g, NULL, NULL, a->cancel, a->timeout_ns ? now() + a->timeout_ns : 0, HEDDLE_OK};
    arena *mine;
    char *base;
    int32_t status;
    if (a->arg_count != e->args || a->dim_count != 0) {
        snprintf(text, MAX_TEXT, "%u arguments and %u dims; want %u and none", a->arg_count, a->dim_count, e->args);
        return HEDDLE_INVALID;
    }
    for (uint32_t i = 0; i < e->args; i++) {
        int32_t v = i < inputs ? heddle_graph_input(g, i).value : i < inputs + outputs ? heddle_graph_output(g, i - inputs).value :
                    heddle_graph_state(g, i - inputs - outputs).first;
        if (a->args[i].size < (uint64_t)e->values[v].size || !a->args[i].bytes || (uintptr_t)a->args[i].bytes % 8) {
            snprintf(text, MAX_TEXT, "argument %u has %llu bytes at %p; want %lld, aligned", i, (unsigned long long)a->args[i].size, a->args[i].bytes, (long long)e->values[v].size);
            return HEDDLE_INVALID;
        }
    }
    /* Each run has an arena of its own; they are kept for the next. */
    pthread_mutex_lock(&e->mutex);
    if ((mine = e->arenas))
        e->arenas = mine->next;
    pthread_mutex_unlock(&e->mutex);
    if (!mine && !(mine = allocate(table + e->arena_size + e->scratch_size))) {
        snprintf(text, MAX_TEXT, "no memory for %lld bytes of working memory", (long long)(e->arena_size + e->scratch_size));
        return HEDDLE_OUT_OF_MEMORY;
    }
    r.at = (void **)(mine + 1);
    base = (char *)mine + table;
    r.scratch = base + e->arena_size;
    for (uint32_t i = 0; i < values; i++) {
        const place *p = &e->places[i];
        r.at[i] = p->kind == CONSTANT ? (void *)(uintptr_t)p->bytes : p->kind == ARGUMENT ? a->args[p->at].bytes : p->kind == ARENA ? base + p->at : NULL;
    }
    status = run_steps(e, &r, a, text);
    pthread_mutex_lock(&e->mutex);
    mine->next = e->arenas;
    e->arenas = mine;
    pthread_mutex_unlock(&e->mutex);
    return status;
}
