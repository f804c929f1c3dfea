/*
 * From a graph to an executable: every value gets a place, and a run goes
 * through the steps in the order of the graph's nodes.
 */
#define _GNU_SOURCE
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Where a value lies during a run. */
typedef struct place {
    enum { NOWHERE, CONSTANT, ARGUMENT, ARENA } kind;
    int64_t at;        /* index of the argument, or offset in the arena */
    const void *bytes; /* of a constant */
    void *copy;        /* of a constant: to be freed */
} place;

typedef struct executable {
    void *blob; /* a copy of the graph, which g reads */
    heddle_graph g;
    tensor *values;
    place *places; /* of each value */
    step *steps;
    source *sources;
    int64_t arena_size;
    uint64_t weights, mapped;
    void *arena; /* one that no run uses, or NULL */
} executable;

void *allocate(int64_t size)
{
    void *p = NULL;
    return posix_memalign(&p, ALIGN, (size_t)(size > 0 ? size : 1)) == 0 ? p : NULL;
}

static int64_t round_up(int64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

tensor *read_values(const heddle_graph *g)
{
    uint32_t n = heddle_graph_values(g);
    tensor *values = calloc(n + 1u, sizeof *values);
    for (uint32_t i = 0; values && i < n; i++) {
        heddle_value v = heddle_graph_value(g, i);
        tensor *t = &values[i];
        int64_t most = heddle_elem_bits(v.type.elem); /* bits, if no dimension was 0: sizes of parts fit, too */
        t->elem = v.type.elem;
        t->store = v.type.store ? v.type.store : v.type.elem;
        t->kind = v.kind;
        t->plain = v.type.kind == HEDDLE_PLAIN;
        t->rank = (int)v.type.shape.count;
        t->known = heddle_graph_shape(g, &v.type, t->dims) >= 0;
        for (int d = 0; t->known && d < t->rank; d++)
            most = most > 0 && t->dims[d] > 8 * MAX_BYTES / most ? 0 : most * (t->dims[d] > 0 ? t->dims[d] : 1);
        t->size = -1;
        if (most > 0 && t->known) {
            heddle_count(t->dims, (uint32_t)t->rank, &t->count);
            heddle_size(t->elem, t->dims, (uint32_t)t->rank, &t->size);
        }
    }
    return values;
}

/* ---- compiling ---- */

/* A stretch of the arena, in use until step last has run. */
typedef struct stretch {
    int64_t begin, end;
    uint32_t last;
} stretch;

/* Puts the results of a step in the arena, where nothing else lies that is still
 * needed. used holds *live stretches, ascending. */
static void place_results(executable *e, uint32_t i, const uint32_t *last, stretch *used, uint32_t *live)
{
    const heddle_node *n = &e->steps[i].node;
    uint32_t kept = 0;
    for (uint32_t k = 0; k < *live; k++)
        if (used[k].last >= i)
            used[kept++] = used[k];
    *live = kept;
    for (uint32_t k = 0; k < n->out.count; k++) {
        int32_t v = heddle_node_out(&e->g, n, k);
        uint32_t at = 0;
        int64_t begin = 0, size;
        if (v < 0 || e->places[v].kind != NOWHERE)
            continue;
        size = round_up(e->values[v].size);
        while (at < *live && used[at].begin < begin + size)
            begin = used[at++].end;
        memmove(used + at + 1, used + at, (*live - at) * sizeof *used);
        used[at] = (stretch){begin, begin + size, last[v] > i ? last[v] : i};
        ++*live;
        e->places[v].kind = ARENA;
        e->places[v].at = begin;
        if (e->arena_size < begin + size)
            e->arena_size = begin + size;
    }
}

/* Gives every value but constants its place. Arguments are inputs, outputs, states. */
static int place_values(executable *e)
{
    const heddle_graph *g = &e->g;
    uint32_t nodes = heddle_graph_nodes(g), inputs = heddle_graph_inputs(g), outputs = heddle_graph_outputs(g), live = 0;
    uint32_t *last = calloc(heddle_graph_values(g) + 1u, sizeof *last); /* step that uses a value */
    stretch *used = calloc(heddle_graph_values(g) + 1u, sizeof *used);
    int ok = last && used;
    for (uint32_t i = 0; i < inputs; i++)
        e->places[heddle_graph_input(g, i).value] = (place){ARGUMENT, i, NULL, NULL};
    for (uint32_t i = 0; i < heddle_graph_states(g); i++)
        e->places[heddle_graph_state(g, i).first] = (place){ARGUMENT, inputs + outputs + i, NULL, NULL};
    for (uint32_t i = 0; ok && i < nodes; i++) {
        heddle_node n = e->steps[i].node;
        int32_t first = heddle_node_in(g, &n, 0);
        for (uint32_t k = 0; k < n.in.count; k++)
            if (heddle_node_in(g, &n, k) >= 0)
                last[heddle_node_in(g, &n, k)] = i;
        /* The next version of a state lies where the version before does. */
        if (e->steps[i].kernel == tensor_scatter && e->places[first].kind == ARGUMENT && e->places[first].at >= inputs + outputs)
            e->places[heddle_node_out(g, &n, 0)] = e->places[first];
    }
    for (uint32_t i = 0; ok && i < outputs; i++) {
        int32_t v = heddle_graph_output(g, i).value;
        last[v] = nodes; /* it may have to be copied to a second output */
        if (e->values[v].kind == HEDDLE_VALUE_RESULT && e->places[v].kind == NOWHERE)
            e->places[v] = (place){ARGUMENT, inputs + i, NULL, NULL};
    }
    for (uint32_t i = 0; ok && i < nodes; i++)
        place_results(e, i, last, used, &live);
    free(last);
    free(used);
    return ok && e->arena_size <= MAX_BYTES;
}

static int place_constant(executable *e, int32_t v, char *text)
{
    place *p = &e->places[v];
    char why[MAX_TEXT] = "there is no memory for it";
    if (e->values[v].kind != HEDDLE_VALUE_CONST || p->kind != NOWHERE)
        return 1;
    p->bytes = read_constant(&e->g, e->sources, (uint32_t)v, &e->values[v], &p->copy, why);
    p->kind = CONSTANT;
    *(p->copy ? &e->weights : &e->mapped) += (uint64_t)e->values[v].size;
    if (!p->bytes)
        snprintf(text, MAX_TEXT, "weight %.64s: %.160s", heddle_graph_value(&e->g, (uint32_t)v).name.data, why);
    return p->bytes != NULL;
}

static int32_t build(executable *e, const heddle_compile_args *a, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t nodes = heddle_graph_nodes(g), values = heddle_graph_values(g);
    int32_t status;
    char why[MAX_TEXT];
    if (heddle_graph_symbols(g) > 0 || nodes > MAX_NODES) {
        snprintf(text, MAX_TEXT, nodes > MAX_NODES ? "the graph has more than 65536 nodes" : "the graph has symbols: specialise it, shapes must be static");
        return HEDDLE_UNSUPPORTED;
    }
    e->values = read_values(g);
    e->places = calloc(values + 1u, sizeof *e->places);
    e->steps = calloc(nodes + 1u, sizeof *e->steps);
    if (!e->values || !e->places || !e->steps)
        return HEDDLE_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < values; i++)
        if (!e->values[i].plain || e->values[i].size < 0) {
            snprintf(text, MAX_TEXT, "value %.64s is not of a plain type, static and of at most %lld bytes",
                     heddle_graph_value(g, i).name.data, (long long)MAX_BYTES);
            return HEDDLE_UNSUPPORTED;
        }
    for (uint32_t i = 0; i < nodes; i++)
        if (judge_node(g, e->values, i, &e->steps[i], why) != HEDDLE_REASON_NONE) {
            heddle_node n = heddle_graph_node(g, i);
            snprintf(text, MAX_TEXT, "node %u %.48s (%.32s): %.120s", i, n.name.data, n.op.data, why);
            return HEDDLE_UNSUPPORTED;
        }
    if ((status = map_sources(g, a->weights, a->weight_count, &e->sources, text)) != HEDDLE_OK)
        return status;
    if (!place_values(e)) {
        snprintf(text, MAX_TEXT, "a run needs more than %lld bytes of working memory", (long long)MAX_BYTES);
        return HEDDLE_OUT_OF_MEMORY;
    }
    for (uint32_t i = 0; i < values; i++) {
        if (heddle_cancelled(a->cancel))
            return HEDDLE_CANCELLED;
        if (!place_constant(e, (int32_t)i, text))
            return HEDDLE_INVALID;
        if (e->places[i].kind == NOWHERE) {
            snprintf(text, MAX_TEXT, "value %.64s is in no list of the graph", heddle_graph_value(g, i).name.data);
            return HEDDLE_INVALID;
        }
    }
    return HEDDLE_OK;
}

int32_t compile_graph(uint64_t device, heddle_compile_args *a)
{
    executable *e = calloc(1, sizeof *e);
    char text[MAX_TEXT] = "no memory";
    int32_t status = HEDDLE_OUT_OF_MEMORY;
    (void)device;
    if (e && a->graph_size <= (uint64_t)MAX_BYTES && (e->blob = allocate((int64_t)a->graph_size))) {
        memcpy(e->blob, a->graph, a->graph_size);
        const char *why = heddle_graph_open(e->blob, a->graph_size, &e->g);
        if (why)
            snprintf(text, MAX_TEXT, "%s", why);
        status = why ? HEDDLE_INVALID : build(e, a, text);
    }
    if (status == HEDDLE_OK) {
        a->executable = handle(e);
        a->arg_align = ALIGN;
        return HEDDLE_OK;
    }
    if (e)
        release_executable(handle(e), NULL);
    return heddle_fail(&a->head, status, text);
}

int32_t release_executable(uint64_t self, heddle_none_args *a)
{
    executable *e = object(self);
    (void)a;
    for (uint32_t i = 0; e->places && i < heddle_graph_values(&e->g); i++)
        free(e->places[i].copy);
    unmap_sources(&e->g, e->sources);
    free(e->arena);
    free(e->steps);
    free(e->places);
    free(e->values);
    free(e->blob);
    free(e);
    return HEDDLE_OK;
}

int32_t footprint(uint64_t self, heddle_footprint_args *a)
{
    const executable *e = object(self);
    a->weights = e->weights;
    a->mapped = e->mapped;
    a->scratch = (uint64_t)e->arena_size;
    return HEDDLE_OK;
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
static int empty(const step *s)
{
    for (uint32_t i = 0; i < s->node.out.count; i++)
        if (heddle_node_out(s->g, &s->node, i) >= 0 && out_type(s, i)->count > 0)
            return 0;
    return 1;
}

static int32_t run_steps(executable *e, run *r, const heddle_run_args *a, char *text)
{
    const heddle_graph *g = &e->g;
    uint32_t inputs = heddle_graph_inputs(g);
    const char *why;
    for (uint32_t i = 0; i < heddle_graph_nodes(g) && !stopped(r); i++) {
        const step *s = &e->steps[i];
        if (!empty(s) && (why = s->kernel(s, r))) {
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

/* The value that argument i holds. */
static int32_t argument(const heddle_graph *g, uint32_t i)
{
    uint32_t inputs = heddle_graph_inputs(g), outputs = heddle_graph_outputs(g);
    return i < inputs ? heddle_graph_input(g, i).value : i < inputs + outputs ? heddle_graph_output(g, i - inputs).value :
           heddle_graph_state(g, i - inputs - outputs).first;
}

int32_t run_executable(uint64_t self, heddle_run_args *a)
{
    executable *e = object(self);
    const heddle_graph *g = &e->g;
    uint32_t values = heddle_graph_values(g), args = heddle_graph_inputs(g) + heddle_graph_outputs(g) + heddle_graph_states(g);
    run r = {NULL, a->cancel, a->timeout_ns ? now() + a->timeout_ns : 0, HEDDLE_OK};
    char text[MAX_TEXT] = "no working memory";
    int32_t status = HEDDLE_OUT_OF_MEMORY;
    if (a->arg_count != args || a->dim_count != 0)
        return heddle_fail(&a->head, HEDDLE_INVALID, "not the arguments of the graph");
    for (uint32_t i = 0; i < args; i++) {
        const heddle_arg *b = &a->args[i];
        int64_t size = e->values[argument(g, i)].size;
        if (b->size < (uint64_t)size || !b->bytes || (uintptr_t)b->bytes % 8) {
            snprintf(text, MAX_TEXT, "argument %u has %llu bytes at %p; want %lld, aligned", i, (unsigned long long)b->size, b->bytes, (long long)size);
            return heddle_fail(&a->head, HEDDLE_INVALID, text);
        }
    }
    /* Each run has an arena of its own; one is kept for the next. */
    char *arena = __atomic_exchange_n(&e->arena, NULL, __ATOMIC_ACQ_REL);
    if (!arena)
        arena = allocate(e->arena_size);
    r.at = calloc(values + 1u, sizeof *r.at);
    for (uint32_t i = 0; arena && r.at && i < values; i++) {
        const place *p = &e->places[i];
        r.at[i] = p->kind == CONSTANT ? (void *)(uintptr_t)p->bytes : p->kind == ARGUMENT ? a->args[p->at].bytes : arena + p->at;
    }
    if (arena && r.at)
        status = run_steps(e, &r, a, text);
    free(r.at);
    free(__atomic_exchange_n(&e->arena, arena, __ATOMIC_ACQ_REL));
    return status == HEDDLE_OK ? HEDDLE_OK : heddle_fail(&a->head, status, text);
}
