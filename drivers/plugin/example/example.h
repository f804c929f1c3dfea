/*
 * What the files of the example driver share.
 *
 *     driver.c       the table: device, memory, executables, blobs
 *     compile.c      from a graph to steps: places in memory, running
 *     weights.c      constants, from a file or the graph into the form kernels want
 *     look.c         which nodes are taken
 *     elementwise.c  moving.c  reducing.c  products.c  the operators
 *     loops.c        walking through tensors
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "heddle_driver.h"

#include <pthread.h>

enum {
    RANK = HEDDLE_MAX_RANK,
    PANEL = 16,          /* columns of a matrix that are multiplied together */
    ALIGN = 64,          /* of everything in memory, bytes */
    MAX_NODES = 1 << 16,
    MAX_TEXT = 256
};

/* Sets of element types. */
#define BIT(elem) (1u << (elem))
#define F32 BIT(HEDDLE_F32)
#define INTS (BIT(HEDDLE_I64) | BIT(HEDDLE_I32))
#define NUMBERS (F32 | INTS)
#define ALL (NUMBERS | BIT(HEDDLE_BOOL))

/* The most bytes of one tensor, and of one allocation. Sizes below it cannot
 * overflow where a few are added. */
#define MAX_BYTES ((int64_t)1 << 33)

/* The shape of a value. While known is 0, sizes depend on symbols that have no
 * value yet: dims, count and size mean nothing. */
typedef struct tensor {
    uint8_t elem;  /* HEDDLE_F32, ... */
    uint8_t store; /* what it is stored as: elem, or HEDDLE_F16 for a weight */
    uint8_t kind;  /* HEDDLE_VALUE_... */
    uint8_t plain; /* not quantized */
    uint8_t known;
    int rank;
    int64_t dims[RANK];
    int64_t count; /* elements */
    int64_t size;  /* bytes, of elements of type elem */
} tensor;

typedef struct step step;
typedef struct run run;

/* Computes a step. Returns NULL, or what was wrong with the arguments. */
typedef const char *kernel_fn(const step *s, run *r);

/* One row of an elementwise operator: n elements, operands at a stride of 0 or 1
 * or more elements. */
typedef void row_fn(void *y, const void *a, int64_t sa, const void *b, int64_t sb, int64_t n);

/* The window of a convolution or pool over two spatial dimensions. */
typedef struct window {
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], before[2], after[2];
} window;

/* A node, ready to run. */
struct step {
    kernel_fn *run;
    heddle_node node;
    int64_t scratch;     /* bytes of working memory that run needs */
    int64_t axis;
    const float *packed; /* the constant right operand of a product, in panels */
    /* How to pack it: k rows and n columns, strides of both in elements; k is
     * -1 for steps that are no such product. */
    int64_t k, n, row_stride, col_stride;
    union {
        struct { double (*f)(double x, double p); double p; } unary;
        struct { row_fn *f; } binary;
        struct { int64_t offset, stride[RANK]; } view; /* where the operand lies, for each dimension of the result */
        struct { int64_t parts; } split;
        struct { int64_t before[RANK]; } pad;
        struct { int64_t m, a_row, a_col; float alpha, beta; } product;
        struct { window w; int64_t group; int with_pad; } conv;
        struct { double epsilon; int centre; } norm;
        struct { uint32_t axes; char what; } reduce;
        struct { int circular; } scatter;
        struct rope { int64_t batch, heads, seq, head, rotate, x_head, x_seq; int interleaved; } rope;
        struct attention {
            int64_t batch, heads, kv_heads, seq, keys, head, value;
            int64_t q_head, q_seq, k_head, k_seq, v_head, v_seq, y_head, y_seq; /* strides in elements */
            int64_t left, right;
            float scale, softcap;
        } attention;
    } u;
};

/* A node that is being looked at. */
typedef struct look {
    const heddle_graph *g;
    const tensor *values;
    step *s;
    int symbolic;    /* sizes are not known: judge the rest */
    uint32_t reason; /* why not: enum heddle_reason */
    char text[MAX_TEXT];
} look;

/* A run under way. */
struct run {
    const tensor *values;
    const heddle_graph *g;
    void **at;              /* where each value lies */
    char *scratch;
    const uint32_t *cancel;
    uint64_t deadline;      /* nanoseconds of CLOCK_MONOTONIC, 0 for none */
    int32_t stop;           /* the status to stop with, once stopped said so */
};

/* look.c */

/* Decides whether a node can be computed and fills in its step: returns 1, or 0
 * with the reason. It reads no weights. */
int look_at(look *x, uint32_t node);

/* Writes the operators as the array "ops" of the capabilities. Returns the
 * characters it takes, as snprintf does. */
size_t describe_ops(char *out, size_t room);

/* Refuses a node. */
int refuse(look *x, uint32_t reason, const char *format, ...);
#define NEED(x, ok, reason, ...) do { if (!(ok)) return refuse(x, reason, __VA_ARGS__); } while (0)

/* Operand or result i of the node, NULL where it is left out. */
const tensor *operand(const look *x, uint32_t i);
const tensor *result(const look *x, uint32_t i);

/* Reads attribute axis, counted from the end if negative, for a tensor. */
int axis_of(look *x, int64_t def, const tensor *t);

/* Reports whether a tensor has given dimensions; whether one can be broadcast. */
int has_shape(const tensor *t, int rank, const int64_t *dims);
int broadcasts_to(const tensor *t, const int64_t *dims, int rank);

/* Reads integer k of a constant operand that the graph itself carries, such as a
 * shape, axes or pads: returns 0 if it is none. */
int int_at(const look *x, uint32_t i, int64_t k, int64_t *value);

/* Reads all integers of such an operand: returns their number, or -1. */
int64_t ints(const look *x, uint32_t i, int64_t *list, int64_t room);

/* Reads a list of axes as bits; those counted from the end too. */
int axes(look *x, const int64_t *list, int64_t n, int rank, uint32_t *bits);

/* The product of dimensions from, ..., to-1. */
int64_t product(const int64_t *dims, int from, int to);

/* The bytes of an element. */
static inline int64_t bytes_of(uint8_t elem) { return heddle_elem_bits(elem) / 8; }

/* The bytes of operand or result i while a step runs, NULL where it is left out;
 * and its shape. */
static inline void *in(const step *s, const run *r, uint32_t i)
{
    int32_t v = heddle_node_in(r->g, &s->node, i);
    return v < 0 ? NULL : r->at[v];
}

static inline void *out(const step *s, const run *r, uint32_t i)
{
    int32_t v = heddle_node_out(r->g, &s->node, i);
    return v < 0 ? NULL : r->at[v];
}

static inline const tensor *in_type(const step *s, const run *r, uint32_t i)
{
    return &r->values[heddle_node_in(r->g, &s->node, i)];
}

static inline const tensor *out_type(const step *s, const run *r, uint32_t i)
{
    return &r->values[heddle_node_out(r->g, &s->node, i)];
}

/* loops.c */

/* Copies a box of elements of size bytes; strides count elements. */
void move_box(void *y, const int64_t *y_stride, const void *a, const int64_t *a_stride, const int64_t *dims, int rank, int64_t size);

/* Nested loops over a result and operands that are broadcast to it. [0] of the
 * strides, which count elements, is the result's. */
typedef struct loops {
    int rank; /* at least 1 */
    int64_t dims[RANK], stride[3][RANK];
    int64_t index[RANK], at[3];
} loops;

/* Starts loops over dimensions whose strides l has, merging what can be merged,
 * so that the innermost loop is long. */
void loops_start(loops *l);

/* Steps to the next row of the innermost dimension; returns 0 after the last. */
int loops_next(loops *l);

/* Stores the strides, in elements, of a dense tensor, and the same with 0 for
 * dimensions that are broadcast to those of y. */
void dense_strides(const int64_t *dims, int rank, int64_t *stride);
void broadcast_strides(const int64_t *dims, int rank, int y_rank, int64_t *stride);

/* elementwise.c */

/* Applies a row function to dense tensors, with broadcasting. y, whose elements
 * have y_bytes, may be a. */
void binary(row_fn *f, void *y, int64_t y_bytes, const tensor *t, const void *a, const tensor *ta, const void *b, const tensor *tb);
/* The row function of an operator for operands of a type, and the type of its
 * result; NULL if there is none. */
row_fn *row_of(heddle_str op, uint8_t elem, uint8_t *result);

int look_unary(look *x);
int look_cast(look *x);
int look_not(look *x);
int look_binary(look *x);
int look_where(look *x);

/* moving.c */

int look_same(look *x);
int look_transpose(look *x);
int look_expand(look *x);
int look_slice(look *x);
int look_concat(look *x);
int look_split(look *x);
int look_pad(look *x);
int look_gather(look *x);
int look_tensor_scatter(look *x);
int look_range(look *x);

/* reducing.c */

/* Reads a window over the spatial dimensions of a [N,C,H,W] (or [N,C,W]) for a
 * result y. */
int window_of(look *x, const tensor *a, const tensor *y, const int64_t *kernel, window *w);

int look_reduce(look *x);
int look_softmax(look *x);
int look_norm(look *x);
int look_average_pool(look *x);

/* products.c */

int look_matmul(look *x);
int look_gemm(look *x);
int look_conv(look *x);
int look_attention(look *x);
int look_rope(look *x);

/* Packs columns of a matrix: panel j holds rows of PANEL columns from j*PANEL
 * on, zeros beyond the last. */
void pack(float *panels, const float *b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n);

/* weights.c */

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

typedef struct executable {
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
} executable;

/* Memory to free, aligned for anything; NULL when there is none. */
void *allocate(int64_t size);

/* Maps the sources of weights. Returns a status, with a text if it is not
 * HEDDLE_OK. */
int32_t map_sources(executable *e, const heddle_weight *weights, uint32_t count, char *text);

/* Gives a value that is a constant its place. Returns 0 with a text if it has no
 * data, or none that can be read. */
int place_constant(executable *e, uint32_t id, char *text);

/* Packs the right operand of a product, if it is one constant matrix, in the same
 * way. */
int pack_constant(executable *e, step *s, char *text);

/* compile.c */

/* Reads the type of each value. Returns an array to free, or NULL with a text. */
tensor *read_values(const heddle_graph *g, char *text);

/* Makes an executable, which keeps no pointer into the arguments. Returns NULL
 * with a status and a text. */
executable *compile(const void *graph, uint64_t size, const heddle_weight *weights, uint32_t count, const uint32_t *cancel,
                    int32_t *status, char *text);
int32_t execute(executable *e, const heddle_run_args *a, char *text);
void release(executable *e);
void footprint(const executable *e, uint64_t *weights, uint64_t *mapped, uint64_t *scratch);
uint64_t graph_hash(const executable *e);

/* The hash that tells graphs and damaged blobs apart: FNV-1a. */
uint64_t hash_bytes(const void *data, uint64_t size);

/* Reports whether a run has to stop, by cancellation or because its time is up. */
int stopped(run *r);

#endif
