/*
 * From a graph to an executable: every value gets a place, and a run goes
 * through the steps in the order of the graph's nodes.
 */
#define _GNU_SOURCE
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

uint64_t hash_bytes(const void *data, uint64_t size)
{
    uint64_t h = 14695981039346656037u;
    for (uint64_t i = 0; i < size; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return h;
}

static int64_t round_up(int64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

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

static int32_t bad_weight(const executable *e, int32_t v, const char *why, char *text)
{
    snprintf(text, MAX_TEXT, "weight %.64s: %.160s", heddle_graph_value(&e->g, (uint32_t)v).name.data, why);
    return HEDDLE_INVALID;
}

static int32_t build(executable *e, const heddle_weight *weights, uint32_t count, const uint32_t *cancel, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t nodes = heddle_graph_nodes(g), outputs = heddle_graph_outputs(g);
    look x;
    int32_t status;
    char why[MAX_TEXT] = "there is no memory for it";
    if (heddle_graph_symbols(g) > 0 || nodes > MAX_NODES) {
        snprintf(text, MAX_TEXT, nodes > MAX_NODES ? "the graph has more than 65536 nodes" : "the graph has symbols: specialise it, shapes must be static");
        return HEDDLE_UNSUPPORTED;
    }
    e->args = heddle_graph_inputs(g) + outputs + heddle_graph_states(g);
    if (!(e->values = read_values(g, text)))
        return HEDDLE_UNSUPPORTED;
    for (uint32_t i = 0; i < heddle_graph_values(g); i++)
        if (!e->values[i].known || !e->values[i].plain || e->values[i].size > MAX_BYTES) {
            snprintf(text, MAX_TEXT, "value %.64s is not of a plain type, static and of at most %lld bytes",
                     heddle_graph_value(g, i).name.data, (long long)MAX_BYTES);
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
        if (s->k > 0 && !pack_constant(e, s, why))
            return bad_weight(e, heddle_node_in(g, &s->node, 1), why, text);
        for (uint32_t k = 0; k < s->node.in.count; k++) {
            int32_t v = heddle_node_in(g, &s->node, k);
            if (v >= 0 && !(s->packed && k == 1) && !place_constant(e, (uint32_t)v, why))
                return bad_weight(e, v, why, text);
        }
    }
    for (uint32_t i = 0; i < heddle_graph_values(g); i++)
        if (e->places[i].kind == NOWHERE && e->values[i].kind != HEDDLE_VALUE_CONST) {
            snprintf(text, MAX_TEXT, "value %.64s is in no list of the graph", heddle_graph_value(g, i).name.data);
            return HEDDLE_INVALID;
        }
    for (uint32_t i = 0; i < outputs; i++)
        if (!place_constant(e, (uint32_t)heddle_graph_output(g, i).value, why))
            return bad_weight(e, heddle_graph_output(g, i).value, why, text);
    return HEDDLE_OK;
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
            snprintf(text, MAX_TEXT, "argument %u has %llu bytes at %p; want %lld, aligned", i,
                     (unsigned long long)a->args[i].size, a->args[i].bytes, (long long)e->values[v].size);
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
