/*
 * Damages graphs and hands them to a driver that is linked in: opens, judges,
 * compiles and, if it comes to that, runs them. Built with the compiler's
 * sanitizers, it ends with an error at the first fault.
 *
 *     hostile ROUNDS GRAPH...
 */
#define _GNU_SOURCE
#include "heddle_driver.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MOST = 1 << 22,    /* bytes of an argument, and of working memory */
    WEIGHTS = 1 << 12, /* bytes of each source of weights */
    SOURCES = 4
};

static FILE *weights;

static uint64_t seed = 1;

static uint32_t number(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

#define ARGS(type, name)              \
    type name;                        \
    memset(&name, 0, sizeof name);    \
    name.head.size = sizeof name;     \
    name.head.text = message;         \
    name.head.text_cap = sizeof message

static char message[256];

/* Runs an executable on zeros. */
static int run(const heddle_driver_table *t, uint64_t executable, const heddle_graph *g)
{
    uint32_t in = heddle_graph_inputs(g), out = heddle_graph_outputs(g), n = in + out + heddle_graph_states(g);
    heddle_arg *args = calloc(n + 1u, sizeof *args);
    int fits = 1, ran = 0;
    ARGS(heddle_footprint_args, f);
    t->footprint(executable, &f);
    fits = f.scratch <= MOST;
    for (uint32_t i = 0; i < n && fits; i++) {
        int32_t v = i < in ? heddle_graph_input(g, i).value : i < in + out ? heddle_graph_output(g, i - in).value : heddle_graph_state(g, i - in - out).first;
        heddle_type type = heddle_graph_value(g, (uint32_t)v).type;
        int64_t dims[HEDDLE_MAX_RANK], size = 0;
        int rank = heddle_graph_shape(g, &type, dims);
        fits = rank >= 0 && heddle_size(type.elem, dims, (uint32_t)rank, &size) && size <= MOST;
        if (!fits)
            break;
        args[i].size = (uint64_t)size;
        if (posix_memalign(&args[i].bytes, 64, (size_t)size + 1) != 0)
            abort();
        memset(args[i].bytes, (int)(number() % 3), (size_t)size);
    }
    if (fits) {
        ARGS(heddle_run_args, r);
        r.args = args;
        r.arg_count = n;
        r.timeout_ns = 50000000;
        t->run(executable, &r);
        ran = 1;
    }
    for (uint32_t i = 0; i < n; i++)
        free(args[i].bytes);
    free(args);
    return ran;
}

/* Gives a graph of exactly size bytes, so that reading beyond them is seen. */
static int feed(const heddle_driver_table *t, uint64_t device, const unsigned char *graph, size_t size, int *compiled)
{
    unsigned char *copy = NULL;
    heddle_graph g;
    int opened, ran = 0;
    if (posix_memalign((void **)&copy, 64, size + !size) != 0)
        abort();
    memcpy(copy, graph, size);
    opened = heddle_graph_open(copy, size, &g) == NULL;
    ARGS(heddle_supports_args, s);
    s.graph = copy;
    s.graph_size = size;
    s.verdict_cap = opened ? heddle_graph_nodes(&g) : 1;
    s.verdicts = calloc(s.verdict_cap + 1u, sizeof *s.verdicts);
    s.texts.cap = 1024;
    s.texts.data = malloc(1024);
    t->supports(device, &s);
    ARGS(heddle_compile_args, c);
    c.graph = copy;
    c.graph_size = size;
    heddle_weight sources[SOURCES];
    memset(sources, 0, sizeof sources);
    for (uint32_t i = 0; opened && i < heddle_graph_sources(&g) && i < SOURCES; i++) {
        sources[i].source = i;
        sources[i].fd = fileno(weights);
        sources[i].offset = 6;
        sources[i].size = WEIGHTS - 6;
        c.weight_count++;
    }
    c.weights = sources;
    if (t->compile(device, &c) == HEDDLE_OK) {
        ARGS(heddle_none_args, none);
        ++*compiled;
        ran = run(t, c.executable, &g);
        t->release(c.executable, &none);
    }
    free(s.verdicts);
    free(s.texts.data);
    free(copy);
    return ran;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 0, fed = 0, compiled = 0, ran = 0;
    ARGS(heddle_get_args, get);
    ARGS(heddle_open_args, open);
    static const char zeros[WEIGHTS];
    if (!(weights = tmpfile()) || fwrite(zeros, 1, WEIGHTS, weights) != WEIGHTS || fflush(weights) != 0)
        return 1;
    get.abi_major = HEDDLE_ABI_MAJOR;
    get.abi_minor = HEDDLE_ABI_MINOR;
    if (heddle_driver_get(0, &get) != HEDDLE_OK || get.table->open(0, &open) != HEDDLE_OK)
        return 1;
    for (int i = 2; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        unsigned char *graph = malloc(MOST), *bad = malloc(MOST);
        size_t size = f ? fread(graph, 1, MOST, f) : 0;
        if (!f || size == 0)
            return 1;
        fclose(f);
        if (!feed(get.table, open.handle, graph, size, &compiled)) {
            fprintf(stderr, "%s does not run undamaged: %.*s\n", argv[i], 200, message);
            return 1;
        }
        for (int k = 0; k < rounds; k++, fed++) {
            size_t n = k % 16 ? size : number() % size;
            memcpy(bad, graph, n);
            for (uint32_t edits = 1 + number() % 3; edits && n > 4; edits--) {
                /* Mostly behind the header, whose damage is easily seen. */
                size_t at = number() % 8 ? 440 + number() % size : number() % size;
                uint32_t small = number() % 40 - 3u;
                if (at + 4 > n)
                    continue;
                if (number() % 2)
                    memcpy(bad + at / 4 * 4, &small, sizeof small);
                else
                    bad[at] = (unsigned char)number();
            }
            ran += feed(get.table, open.handle, bad, n, &compiled);
        }
        free(graph);
        free(bad);
    }
    ARGS(heddle_none_args, none);
    get.table->close(open.handle, &none);
    printf("%d damaged graphs: %d compiled, %d ran\n", fed, compiled, ran);
    return 0;
}
