/*
 * What the files of the example driver share.
 *
 *     driver.c    the table: device, memory, executables, blobs
 *     compile.c   from a graph to steps: weights, places in memory, running
 *     kernels.c   the operators: which nodes are taken, and how each computes
 *     products.c  those that multiply: MatMul, Gemm, Conv, Attention, ...
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "heddle_driver.h"

enum {
    RANK = HEDDLE_MAX_RANK,
    PANEL = 16,          /* columns of a matrix that are multiplied together */
    ALIGN = 64,          /* of everything in memory, bytes */
    MAX_NODES = 1 << 16,
    MAX_TEXT = 256
};

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
typedef const char *kernel(const step *s, run *r);

/* One row of an elementwise operator: n elements, operands at a stride of 0 or 1
 * or more elements. */
typedef void row(void *y, const void *a, int64_t sa, const void *b, int64_t sb, int64_t n);

/* The window of a convolution or pool over two spatial dimensions. */
typedef struct window {
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], before[2], after[2];
} window;

/* A node, ready to run. */
struct step {
    kernel *run;
    heddle_node node;
    uint32_t index;      /* of the node */
    int64_t scratch;     /* bytes of working memory that run needs */
    int64_t axis;
    const float *packed; /* the constant right operand of a product, in panels */
    /* How to pack it: k rows and n columns, strides of both in elements; k is
     * -1 for steps that are no such product. */
    int64_t k, n, row_stride, col_stride;
    union {
        struct { double (*f)(double x, double p); double p; } unary;
        struct { row *f; } binary;
        struct { int64_t offset, stride[RANK]; } view; /* where the operand lies, for each dimension of the result */
        struct { int64_t parts; } split;
        struct { int64_t before[RANK]; } pad;
        struct { int64_t m, a_row, a_col; float alpha, beta; } product;
        struct { window w; int64_t group; int with_pad; } conv;
        struct { double epsilon; int centre; } norm;
        struct { uint32_t axes; char what; } reduce;
        struct { int circular; } scatter;
        struct { int64_t batch, heads, seq, head, rotate, x_head, x_seq; int interleaved; } rope;
        struct {
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

/* kernels.c */

/* Decides whether a node can be computed and fills in its step: returns 1, or 0
 * with the reason. It reads no weights. */
int look_at(look *x, uint32_t node);

/* Writes the operators as the array "ops" of the capabilities. Returns the
 * characters it takes, as snprintf does. */
size_t describe_ops(char *out, size_t room);

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

/* Reads a window over the spatial dimensions of a [N,C,H,W] (or [N,C,W]) for a
 * result y. */
int window_of(look *x, const tensor *a, const tensor *y, const int64_t *kernel, window *w);

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

/* products.c */

int look_matmul(look *x);
int look_gemm(look *x);
int look_conv(look *x);
int look_attention(look *x);
int look_rope(look *x);

/* Packs columns of a matrix: panel j holds rows of PANEL columns from j*PANEL
 * on, zeros beyond the last. */
void pack(float *panels, const float *b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n);

/* compile.c */

typedef struct executable executable;

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
