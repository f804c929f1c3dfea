/*
 * Constants: from a file that is mapped, or the graph itself, into the form that
 * kernels want. What lies there so already is used where it lies.
 */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The bits of an f16 as those of an f32. */
static uint32_t widen(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    float tiny = (float)fraction * 0x1p-24f;
    memcpy(&bits, &tiny, sizeof bits);
    if (exponent > 0)
        bits = (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    return sign | bits;
}

/* Copies an element, which becomes f32 if it is stored as f16 or bf16. */
static void copy_element(char *to, const char *from, uint8_t store)
{
    if (store == HEDDLE_F16 || store == HEDDLE_BF16) {
        uint16_t h;
        memcpy(&h, from, sizeof h);
        uint32_t bits = store == HEDDLE_F16 ? widen(h) : (uint32_t)h << 16;
        memcpy(to, &bits, sizeof bits);
    } else {
        memcpy(to, from, (size_t)bytes_of(store));
    }
}

/* Returns where the bytes of a part begin, and checks that they are there. */
static const char *part_bytes(const source *sources, const heddle_part *p, int64_t size, char *text)
{
    const source *s = p->source >= 0 ? &sources[p->source] : NULL;
    if (p->is_inline)
        return p->bytes.data;
    if (s && s->size >= size && p->offset <= s->size - size)
        return s->bytes + p->offset;
    snprintf(text, MAX_TEXT, !s ? "it has no data" : s->size < 0 ? "its source was not given" : "it leaves its source: the file is truncated");
    return NULL;
}

/* A constant may be a view: parts that are joined along an axis, each a box of a
 * stored tensor, and the whole permuted. */
const void *read_constant(const heddle_graph *g, const source *sources, uint32_t id, const tensor *t, void **copy, char *text)
{
    heddle_value v = heddle_graph_value(g, id);
    int64_t perm[RANK], y_stride[RANK], elem = bytes_of(t->elem), joined = 0; /* length of the parts so far */
    int turned = 0;
    char *y = NULL;
    *copy = NULL;
    for (int d = 0; d < t->rank; d++) {
        perm[d] = v.has_perm ? heddle_graph_int(g, v.perm, (uint32_t)d) : d;
        turned |= perm[d] != d;
    }
    dense(t->dims, t->rank, y_stride);
    for (uint32_t k = 0; k < v.parts.count; k++) {
        heddle_part p = heddle_graph_part(g, v.parts, k);
        int64_t stored[RANK], stride[RANK] = {0}, dims[RANK], from[RANK], size = 0, at = 0, begin = 0;
        heddle_graph_ints(g, p.type.shape, stored);
        heddle_size(p.type.elem, stored, (uint32_t)t->rank, &size); /* heddle_graph_open has checked it */
        int64_t count = size > 0; /* of the box's elements */
        const char *b = part_bytes(sources, &p, size, text);
        if (b && (p.type.kind != HEDDLE_PLAIN || p.type.elem != t->store)) {
            snprintf(text, MAX_TEXT, "it is stored as %s, its type as %s", heddle_elem_name(p.type.elem), heddle_elem_name(t->store));
            b = NULL;
        }
        if (!b)
            return NULL;
        if (v.parts.count == 1 && !p.is_slice && !turned && t->store == t->elem && (elem == 0 || (uintptr_t)b % (uint64_t)elem == 0))
            return b; /* as it lies */
        if (t->store == t->elem ? elem == 0 : t->elem != HEDDLE_F32 || (t->store != HEDDLE_F16 && t->store != HEDDLE_BF16)) {
            snprintf(text, MAX_TEXT, "it is stored as %s", heddle_elem_name(t->store));
            return NULL;
        }
        if (!*copy && !(y = *copy = allocate(t->size))) {
            snprintf(text, MAX_TEXT, "there is no memory for it");
            return NULL;
        }
        if (count > 0)
            dense(stored, t->rank, stride);
        for (int d = 0; d < t->rank; d++) { /* dimension d of the constant is f of what is stored */
            uint32_t f = (uint32_t)perm[d];
            dims[d] = p.is_slice ? heddle_graph_int(g, p.count, f) : stored[f];
            begin += p.is_slice ? heddle_graph_int(g, p.start, f) * stride[f] : 0;
            from[d] = stride[f];
            at += (int32_t)f == v.axis ? joined * y_stride[d] : 0;
            count *= dims[d];
        }
        int64_t n = t->rank > 0 ? dims[t->rank - 1] : 1, next = t->rank > 0 ? from[t->rank - 1] : 0, store = bytes_of(t->store);
        for (int64_t i = 0; i * n < count; i++) {
            char *to = y + (at + row_at(i, dims, y_stride, t->rank)) * elem;
            const char *row = b + (begin + row_at(i, dims, from, t->rank)) * store;
            for (int64_t e = 0; e < n; e++)
                copy_element(to + e * elem, row + e * next * store, t->store);
        }
        for (int d = 0; d < t->rank; d++)
            joined += perm[d] == v.axis ? dims[d] : 0;
    }
    if (v.is_dims && (y = *copy = allocate(t->size)))
        for (int64_t i = 0; i < t->count; i++) {
            int64_t n = heddle_graph_dim(g, v.dims, (uint32_t)i).value;
            memcpy(y + i * 8, &n, sizeof n);
        }
    return y;
}

int32_t map_sources(const heddle_graph *g, const heddle_weight *weights, uint32_t count, source **out, char *text)
{
    uint32_t n = heddle_graph_sources(g);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!(*out = calloc(n + 1u, sizeof **out)))
        return HEDDLE_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        (*out)[i].size = -1;
    for (uint32_t i = 0; i < count; i++) {
        const heddle_weight *w = &weights[i];
        source *s = &(*out)[w->source < n ? w->source : n];
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

void unmap_sources(const heddle_graph *g, source *sources)
{
    for (uint32_t i = 0; sources && i < heddle_graph_sources(g); i++)
        if (sources[i].map)
            munmap(sources[i].map, sources[i].map_size);
    free(sources);
}
