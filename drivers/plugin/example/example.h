/*
 * What the files of the example driver share.
 *
 *     driver.c       the table of functions: device, memory
 *     compile.c      from a graph to steps with places in memory; running them
 *     weights.c      constants, from a file or the graph into the form kernels want
 *     operators.c    which nodes are taken: one table
 *     kernels.c      the operators
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "heddle_driver.h"

enum {
    RANK = HEDDLE_MAX_RANK,
    ALIGN = 64, /* of everything in memory, bytes */
    MAX_NODES = 1 << 16,
    MAX_TEXT = 256
};

/* The most bytes of one tensor, and of one allocation. Products of two sizes
 * below it still fit 64 bits. */
#define MAX_BYTES ((int64_t)1 << 31)

/* A value's type and shape. */
typedef struct tensor {
    uint8_t elem;  /* HEDDLE_F32, HEDDLE_I64 or HEDDLE_BOOL; others are refused */
    uint8_t store; /* what it is stored as: elem or, for a weight, HEDDLE_F16 or HEDDLE_BF16 */
    uint8_t kind;  /* HEDDLE_VALUE_... */
    uint8_t plain; /* not quantized */
    uint8_t known; /* the shape has no symbols; else dims, count and size mean nothing */
    int rank;
    int64_t dims[RANK];
    int64_t count; /* elements */
    int64_t size;  /* bytes */
} tensor;

typedef struct step step;
typedef struct run run;

/* Computes a step. Returns NULL, or what was wrong with the arguments. */
typedef const char *kernel_fn(const step *s, run *r);

/* A node, ready to run. The letters are those of operators.c. */
struct step {
    kernel_fn *kernel;
    heddle_node node;
    const heddle_graph *g;
    const tensor *values;
    int64_t size['z' - 'a' + 1]; /* of the dimension with each letter; -1 where there is none */
    int64_t outer[RANK];         /* the dimensions that * stands for */
    int outer_rank;              /* -1 where there is no * */
};

/* A run under way. */
struct run {
    void **at; /* where each value lies */
    const uint32_t *cancel;
    uint64_t deadline; /* nanoseconds of CLOCK_MONOTONIC, 0 for none */
    int32_t stop;      /* the status to stop with, once stopped said so */
};

/* Handles are addresses. */
static inline uint64_t handle(void *p) { return (uint64_t)(uintptr_t)p; }
static inline void *object(uint64_t handle) { return (void *)(uintptr_t)handle; }

/* The bytes of an element; 0 for the small ones that share a byte. */
static inline int64_t bytes_of(uint8_t elem) { return heddle_elem_bits(elem) / 8; }

/* Shapes and bytes of operands and results while a step runs; the bytes of an
 * operand that is left out are NULL. */
static inline const tensor *in_type(const step *s, uint32_t i) { return &s->values[heddle_node_in(s->g, &s->node, i)]; }
static inline const tensor *out_type(const step *s, uint32_t i) { return &s->values[heddle_node_out(s->g, &s->node, i)]; }

static inline void *in(const step *s, const run *r, uint32_t i)
{
    int32_t v = heddle_node_in(s->g, &s->node, i);
    return v < 0 ? NULL : r->at[v];
}

static inline void *out(const step *s, const run *r, uint32_t i)
{
    int32_t v = heddle_node_out(s->g, &s->node, i);
    return v < 0 ? NULL : r->at[v];
}

/* The size of a dimension by its letter; the product of those that * stands for. */
static inline int64_t size_of(const step *s, char letter) { return s->size[letter - 'a']; }
static inline int64_t outer_of(const step *s)
{
    int64_t n = 1;
    for (int d = 0; d < s->outer_rank; d++)
        n *= s->outer[d];
    return n;
}

/* operators.c */

/* Decides whether a node can be computed and makes it a step. Returns
 * HEDDLE_REASON_NONE, or why not, with a text. It reads no weights, and judges
 * graphs with symbols, too. */
uint32_t judge_node(const heddle_graph *g, const tensor *values, uint32_t node, step *s, char *text);

/* Writes the operators as the array "ops" of the capabilities; returns its length. */
size_t describe_operators(char *json, size_t room);

/* kernels.c */

kernel_fn add, attention, cast, concat, conv, expand, gather, gelu, layer_norm, matmul, mul, pad, relu, reshape, rms_norm,
    rotary_embedding, sigmoid, slice, softmax, split, swish, tensor_scatter, transpose, where;

/* Stores the distance, in elements, from one to the next along each dimension. */
void dense(const int64_t *dims, int rank, int64_t *stride);

/* Where row i of a tensor begins, in elements: rows lie along the last dimension. */
int64_t row_at(int64_t i, const int64_t *dims, const int64_t *stride, int rank);

/* weights.c */

/* A source of weights, mapped. */
typedef struct source {
    void *map;
    size_t map_size;
    const char *bytes;
    int64_t size; /* -1 when it was not given */
} source;

/* Maps the sources of a graph; *out is to be freed with unmap_sources, whatever
 * the status. */
int32_t map_sources(const heddle_graph *g, const heddle_weight *weights, uint32_t count, source **out, char *text);
void unmap_sources(const heddle_graph *g, source *sources);

/* Returns the elements of a constant, dense and in order, in the type that
 * operators see: where they lie, or in a copy, which *copy is set to and the
 * caller frees. NULL, with a text, if they cannot be read. */
const void *read_constant(const heddle_graph *g, const source *sources, uint32_t id, const tensor *t, void **copy, char *text);

/* compile.c */

/* Reads the types of all values. Returns an array to free, or NULL. */
tensor *read_values(const heddle_graph *g);

/* Functions of the table. */
int32_t compile_graph(uint64_t device, heddle_compile_args *a);
int32_t release_executable(uint64_t self, heddle_none_args *a);
int32_t run_executable(uint64_t self, heddle_run_args *a);
int32_t footprint(uint64_t self, heddle_footprint_args *a);

/* Memory to free, aligned for anything; NULL when there is none. */
void *allocate(int64_t size);

/* Reports whether a run has to stop, by cancellation or because its time is up. */
int stopped(run *r);

#endif
