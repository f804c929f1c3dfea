/*
 * Constants: from a file that is mapped, or the graph itself, into the form that
 * kernels want. What lies there so already is used where it lies.
 */
#define _GNU_SOURCE
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void *allocate(int64_t size)
{
    void *p = NULL;
    return posix_memalign(&p, ALIGN, (size_t)(size > 0 ? size : 1)) == 0 ? p : NULL;
}

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

/* The number at p, stored as f16 or bf16. */
static float narrow(const char *p, uint8_t elem)
{
    uint16_t h;
    uint32_t bits;
    float f;
    memcpy(&h, p, sizeof h);
    if (elem == HEDDLE_F16)
        return half(h);
    bits = (uint32_t)h << 16;
    memcpy(&f, &bits, sizeof f);
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
        int same = !p.is_slice && p.type.kind == HEDDLE_PLAIN && p.type.elem == t->elem && t->store == t->elem;
        for (int i = 0; i < t->rank; i++)
            same = same && perm[i] == i;
        if (same) {
            const char *b = part_bytes(e, &p, t->size, text);
            if (!b || bytes_of(t->elem) == 0 || (uintptr_t)b % (uint64_t)bytes_of(t->elem) == 0)
                return b;
        }
    }
    if (!(y = *copy = allocate(t->count * bytes_of(t->store)))) {
        snprintf(text, MAX_TEXT, "no memory for %lld bytes", (long long)t->size);
        return NULL;
    }
    dense_strides(t->dims, t->rank, y_stride);
    for (uint32_t k = 0; k < v.parts.count; k++) {
        heddle_part p = heddle_graph_part(g, v.parts, k);
        int64_t elem = bytes_of(p.type.elem), size = 0, count = 0, at = 0, offset = 0;
        heddle_graph_ints(g, p.type.shape, stored);
        memcpy(box, stored, sizeof box);
        if (p.is_slice) {
            heddle_graph_ints(g, p.start, start);
            heddle_graph_ints(g, p.count, box);
        }
        heddle_size(p.type.elem, stored, (uint32_t)t->rank, &size); /* opening the graph has checked it */
        heddle_count(box, (uint32_t)t->rank, &count);
        const char *b = part_bytes(e, &p, size, text);
        if (b && (elem == 0 || p.type.kind != HEDDLE_PLAIN || p.type.elem != t->store)) { /* heddle encodes weights anew that are stored otherwise */
            snprintf(text, MAX_TEXT, "it is stored as %s, its type as %s", heddle_elem_name(p.type.elem), heddle_elem_name(t->store));
            return NULL;
        }
        if (!b)
            return NULL;
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
        move_box(y + offset * elem, to, b + at * elem, from, dims, t->rank, elem);
        joined += t->rank ? box[v.axis < t->rank ? v.axis : 0] : 0;
    }
    if (t->store == t->elem)
        return y;
    float *f = *copy = allocate(t->size);
    for (int64_t i = 0; f && i < t->count; i++)
        f[i] = narrow(y + i * bytes_of(t->store), t->store);
    free(y);
    return f;
}

int place_constant(executable *e, uint32_t id, char *text)
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

int pack_constant(executable *e, step *s, char *text)
{
    int32_t id = heddle_node_in(&e->g, &s->node, 1);
    void *copy;
    const void *b;
    float *panels;
    int64_t size = s->k * ((s->n + PANEL - 1) / PANEL * PANEL) * (int64_t)sizeof *panels;
    if (s->n <= 0 || e->values[id].kind != HEDDLE_VALUE_CONST || e->values[id].count != s->k * s->n)
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

int32_t map_sources(executable *e, const heddle_weight *weights, uint32_t count, char *text)
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
