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

/* A saved executable. Weights are read again and graphs compile fast, so that a
 * blob only proves what it was made from. */
typedef struct blob {
    char magic[8];
    uint32_t version; /* of the driver's blobs */
    uint32_t reserved;
    uint64_t graph;   /* hash */
    uint64_t check;   /* hash of what is before it */
} blob;

static const blob blob_of_now = {"EXAMPLE", 1, 0, 0, 0};

/* Handles are addresses. */
static uint64_t handle(void *p) { return (uint64_t)(uintptr_t)p; }
static void *object(uint64_t handle) { return (void *)(uintptr_t)handle; }

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
    enum { ROOM = 1 << 16 };
    char *json = malloc(ROOM);
    size_t n = 0;
    int32_t status;
    (void)device;
    if (!json)
        return heddle_fail(&a->head, HEDDLE_OUT_OF_MEMORY, "no memory");
    n += (size_t)snprintf(json, ROOM, "{\"kind\":\"cpu\",\"vendor\":\"heddle\",\"model\":\"example\","
                          "\"version\":\"" VERSION "\",\"fingerprint\":\"example-" VERSION "\",\"ops\":[");
    n += describe_ops(json + n, ROOM - n);
    n += (size_t)snprintf(json + n, ROOM - n, "],\"shapes\":{\"static_only\":true},"
                          "\"heaps\":[{\"name\":\"host\",\"size\":0,\"host_visible\":true,\"import\":[\"memfd\"],\"align\":%d}],"
                          "\"queues\":{\"max\":0,\"async\":false,\"timestamps\":false,\"priorities\":false},"
                          "\"limits\":{\"max_nodes\":%d,\"max_allocation\":%lld},"
                          "\"numerics\":{\"accumulate\":\"f32\",\"flush_denormal\":false,\"deterministic\":true},"
                          "\"profiles\":[\"skeleton\",\"vision\",\"language\"],\"notes\":[\"an example for vendors: plain C, one thread\"]}",
                          ALIGN, MAX_NODES, (long long)MAX_BYTES);
    status = heddle_put(&a->json, json, n);
    free(json);
    return status;
}

static int32_t supports(uint64_t device, heddle_supports_args *a)
{
    heddle_graph g;
    char text[MAX_TEXT] = "";
    const char *why = heddle_graph_open(a->graph, a->graph_size, &g);
    step s;
    look x;
    tensor *values;
    (void)device;
    if (why)
        return heddle_fail(&a->head, HEDDLE_INVALID, why);
    if (!(values = read_values(&g, text)))
        return heddle_fail(&a->head, HEDDLE_UNSUPPORTED, text);
    x.g = &g;
    x.values = values;
    x.s = &s;
    for (uint32_t i = 0; i < heddle_graph_nodes(&g) && i < a->verdict_cap; i++) {
        heddle_verdict *v = &a->verdicts[i];
        uint64_t n;
        a->verdict_count = i + 1;
        v->reason = look_at(&x, i) ? HEDDLE_REASON_NONE : x.reason;
        if (!v->reason)
            continue;
        n = strlen(x.text);
        if (n <= a->texts.cap - a->texts.len) {
            memcpy((char *)a->texts.data + a->texts.len, x.text, n);
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

static int32_t compile_graph(uint64_t device, heddle_compile_args *a)
{
    char text[MAX_TEXT] = "no memory";
    int32_t status;
    executable *e = compile(a->graph, a->graph_size, a->weights, a->weight_count, a->cancel, &status, text);
    (void)device;
    if (!e)
        return heddle_fail(&a->head, status, text);
    a->executable = handle(e);
    a->arg_align = ALIGN;
    return HEDDLE_OK;
}

static int32_t release_executable(uint64_t self, heddle_none_args *a)
{
    (void)a;
    release(object(self));
    return HEDDLE_OK;
}

static int32_t run_executable(uint64_t self, heddle_run_args *a)
{
    char text[MAX_TEXT] = "";
    int32_t status = execute(object(self), a, text);
    return status == HEDDLE_OK ? HEDDLE_OK : heddle_fail(&a->head, status, text);
}

static int32_t executable_footprint(uint64_t self, heddle_footprint_args *a)
{
    footprint(object(self), &a->weights, &a->mapped, &a->scratch);
    return HEDDLE_OK;
}

static int32_t save(uint64_t self, heddle_save_args *a)
{
    blob b = blob_of_now;
    b.graph = graph_hash(object(self));
    b.check = hash_bytes(&b, offsetof(blob, check));
    return heddle_put(&a->blob, &b, sizeof b);
}

/* Judges a blob, which may be any bytes, and copies it. */
static uint32_t judge_blob(const void *data, uint64_t size, blob *b)
{
    if (size != sizeof *b)
        return HEDDLE_COMPAT_FOREIGN;
    memcpy(b, data, sizeof *b);
    if (memcmp(b->magic, blob_of_now.magic, sizeof b->magic) != 0 || b->check != hash_bytes(b, offsetof(blob, check)))
        return HEDDLE_COMPAT_FOREIGN;
    return b->version == blob_of_now.version ? HEDDLE_COMPAT_OPTIMAL : HEDDLE_COMPAT_RECOMPILE;
}

static int32_t judge(uint64_t device, heddle_judge_args *a)
{
    blob b;
    (void)device;
    a->compat = judge_blob(a->blob, a->blob_size, &b);
    return HEDDLE_OK;
}

static int32_t load(uint64_t device, heddle_load_args *a)
{
    char text[MAX_TEXT] = "no memory";
    int32_t status;
    blob b;
    executable *e;
    (void)device;
    if (judge_blob(a->blob, a->blob_size, &b) != HEDDLE_COMPAT_OPTIMAL)
        return heddle_fail(&a->head, HEDDLE_INCOMPATIBLE, "not a blob of this version of the driver, or damaged");
    if (b.graph != hash_bytes(a->graph, a->graph_size))
        return heddle_fail(&a->head, HEDDLE_INCOMPATIBLE, "the blob is of another graph");
    e = compile(a->graph, a->graph_size, a->weights, a->weight_count, NULL, &status, text);
    if (!e)
        return heddle_fail(&a->head, status, text);
    a->executable = handle(e);
    a->arg_align = ALIGN;
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
        .footprint = executable_footprint,
        .import_memory = import_memory,
        .save = save,
        .judge = judge,
        .load = load,
    };
    (void)self;
    a->table = &table;
    return HEDDLE_OK;
}
