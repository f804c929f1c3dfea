/*
 * An example of a driver: the table of functions over a device that is the host's
 * own processor, one thread for each call.
 *
 *     cc -O3 -shared -fPIC -I../include -o example.so *.c -lm -lpthread
 *     heddle conform --driver plugin:$PWD/example.so
 *
 * What a driver for other hardware does differently: alloc gives memory of the
 * device (bytes may stay NULL; then copy, fill, upload and download are needed),
 * compile makes a network for it, run starts that and waits.
 */
#define _GNU_SOURCE
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION "0.1"

typedef struct memory {
    void *bytes;
    size_t size; /* of the map */
} memory;

static int32_t info(uint64_t self, heddle_info_args *a)
{
    int32_t vendor = heddle_put_text(&a->vendor, "heddle"), version = heddle_put_text(&a->version, VERSION);
    (void)self;
    a->device_count = 1;
    return vendor ? vendor : version;
}

static int32_t probe(uint64_t self, heddle_probe_args *a)
{
    (void)self;
    if (a->device != 0)
        return heddle_fail(&a->head, HEDDLE_UNAVAILABLE, "there is only device 0");
    a->kind = HEDDLE_KIND_CPU;
    return heddle_put_text(&a->model, "example");
}

static int32_t open_device(uint64_t self, heddle_open_args *a)
{
    static char device; /* it has no state: any address will do */
    (void)self;
    if (a->device != 0)
        return heddle_fail(&a->head, HEDDLE_UNAVAILABLE, "there is only device 0");
    if (a->option_count > 0)
        return heddle_fail(&a->head, HEDDLE_UNSUPPORTED, "this driver has no options");
    a->graph_format = HEDDLE_GRAPH_IR;
    a->handle = handle(&device);
    return HEDDLE_OK;
}

static int32_t close_device(uint64_t device, heddle_none_args *a)
{
    (void)device;
    (void)a;
    return HEDDLE_OK;
}

static int32_t caps(uint64_t device, heddle_caps_args *a)
{
    char json[8192];
    size_t n;
    (void)device;
    n = (size_t)snprintf(json, sizeof json, "{\"kind\":\"cpu\",\"vendor\":\"heddle\",\"model\":\"example\","
                         "\"version\":\"" VERSION "\",\"fingerprint\":\"example-" VERSION "\",\"ops\":[");
    n += describe_operators(json + n, sizeof json - n);
    n += (size_t)snprintf(json + n, sizeof json - n, "],\"shapes\":{\"static_only\":true},"
                          "\"heaps\":[{\"name\":\"host\",\"size\":0,\"host_visible\":true,\"import\":[\"memfd\"],\"align\":%d}],"
                          "\"queues\":{\"max\":0,\"async\":false,\"timestamps\":false,\"priorities\":false},"
                          "\"limits\":{\"max_nodes\":%d,\"max_allocation\":%lld},"
                          "\"numerics\":{\"accumulate\":\"f32\",\"flush_denormal\":false,\"deterministic\":true},"
                          "\"profiles\":[\"skeleton\",\"vision\",\"language\"],\"notes\":[\"an example for vendors: plain C, one thread\"]}",
                          ALIGN, MAX_NODES, (long long)MAX_BYTES);
    return heddle_put(&a->json, json, n);
}

static int32_t supports(uint64_t device, heddle_supports_args *a)
{
    heddle_graph g;
    const char *why = heddle_graph_open(a->graph, a->graph_size, &g);
    tensor *values = why ? NULL : read_values(&g);
    (void)device;
    if (!values)
        return heddle_fail(&a->head, why ? HEDDLE_INVALID : HEDDLE_OUT_OF_MEMORY, why ? why : "no memory");
    for (uint32_t i = 0; i < heddle_graph_nodes(&g) && i < a->verdict_cap; i++) {
        heddle_verdict *v = &a->verdicts[i];
        char text[MAX_TEXT];
        step s;
        a->verdict_count = i + 1;
        v->reason = judge_node(&g, values, i, &s, text);
        uint64_t n = v->reason ? strlen(text) : 0;
        if (n > 0 && n <= a->texts.cap - a->texts.len) {
            memcpy((char *)a->texts.data + a->texts.len, text, n);
            v->text = (uint32_t)a->texts.len;
            v->text_len = (uint32_t)n;
            a->texts.len += n;
        }
    }
    free(values);
    return HEDDLE_OK;
}

/* Makes memory of a map of size bytes: of a file, or zeroed. */
static int32_t map_memory(heddle_head *head, uint64_t size, int fd, uint64_t *out, void **bytes)
{
    memory *m;
    if (size > (uint64_t)MAX_BYTES)
        return heddle_fail(head, HEDDLE_OUT_OF_MEMORY, "more than one allocation may have");
    if (!(m = malloc(sizeof *m)))
        return heddle_fail(head, HEDDLE_OUT_OF_MEMORY, "no memory");
    m->size = size > 0 ? (size_t)size : 1;
    if (fd >= 0 && size > 0)
        m->bytes = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    else
        m->bytes = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->bytes == MAP_FAILED) {
        free(m);
        return heddle_fail(head, HEDDLE_OUT_OF_MEMORY, "the memory cannot be mapped");
    }
    *out = handle(m);
    *bytes = m->bytes;
    return HEDDLE_OK;
}

static int32_t alloc_memory(uint64_t device, heddle_alloc_args *a)
{
    (void)device;
    if (a->heap != 0)
        return heddle_fail(&a->head, HEDDLE_INVALID, "there is only heap 0");
    return map_memory(&a->head, a->bytes_size, -1, &a->memory, &a->bytes);
}

static int32_t import_memory(uint64_t device, heddle_import_args *a)
{
    struct stat st;
    (void)device;
    if (a->kind != HEDDLE_SHARE_MEMFD)
        return heddle_fail(&a->head, HEDDLE_UNSUPPORTED, "only memory with a descriptor can be imported");
    /* To touch a page that the file does not have would end the process. */
    if (fstat(a->fd, &st) != 0 || (uint64_t)st.st_size < a->bytes_size)
        return heddle_fail(&a->head, HEDDLE_INVALID, "the descriptor is not of as many bytes");
    return map_memory(&a->head, a->bytes_size, a->fd, &a->memory, &a->bytes);
}

static int32_t free_memory(uint64_t self, heddle_none_args *a)
{
    memory *m = object(self);
    (void)a;
    munmap(m->bytes, m->size);
    free(m);
    return HEDDLE_OK;
}

HEDDLE_EXPORT int32_t heddle_driver_get(uint64_t self, heddle_get_args *a)
{
    static const heddle_driver_table table = {
        .size = sizeof table,
        .abi_major = HEDDLE_ABI_MAJOR,
        .abi_minor = HEDDLE_ABI_MINOR,
        .info = info,
        .probe = probe,
        .open = open_device,
        .close = close_device,
        .caps = caps,
        .supports = supports,
        .alloc = alloc_memory,
        .free = free_memory,
        .compile = compile_graph,
        .release = release_executable,
        .run = run_executable,
        .footprint = footprint,
        .import_memory = import_memory,
    };
    (void)self;
    a->table = &table;
    return HEDDLE_OK;
}
