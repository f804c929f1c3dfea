/*
 * A library for the tests of drivers/plugin: it adds its input to a weight,
 * and does wrong what it is told to: by the option fault=..., or, for what
 * comes before options, by macros. It is no example of a driver: that is
 * drivers/plugin/example.
 */
#define _GNU_SOURCE
#include "heddle_driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef TEST_MAJOR
#define TEST_MAJOR HEDDLE_ABI_MAJOR
#endif
#ifndef TEST_SIZE
#define TEST_SIZE sizeof(heddle_driver_table)
#endif

static char fault[64];
static int hidden, serial, onnx;
static int inside, overlaps;
static char logs[256];

static int is(const char *what) { return strcmp(fault, what) == 0; }

/* A device counts what was made from it and is not closed. */
typedef struct device {
    int live;
} device;

/* Counts calls that overlap others. */
static void enter(void)
{
    if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 1)
        __atomic_store_n(&overlaps, 1, __ATOMIC_SEQ_CST);
}
static void leave(void) { __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST); }

static int32_t info(uint64_t zero, heddle_info_args *a)
{
    (void)zero;
    a->device_count = 2;
    heddle_put_text(&a->vendor, "test");
    heddle_put_text(&a->version, "1");
    return HEDDLE_OK;
}

static int32_t probe(uint64_t zero, heddle_probe_args *a)
{
    (void)zero;
#ifdef TEST_ABSENT
    return heddle_fail(&a->head, HEDDLE_UNAVAILABLE, "the card is not in its slot");
#endif
    a->kind = HEDDLE_KIND_CPU;
    return heddle_put_text(&a->model, "mini");
}

static int same(heddle_str s, const char *text) { return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0; }

static int32_t open_device(uint64_t zero, heddle_open_args *a)
{
    uint32_t i;
    (void)zero;
    fault[0] = 0;
    hidden = serial = onnx = overlaps = 0;
    for (i = 0; i < a->option_count; i++) {
        heddle_str v = a->options[i].value;
        if (same(a->options[i].key, "fault") && v.len < sizeof fault) {
            memcpy(fault, v.data, v.len);
            fault[v.len] = 0;
        } else if (same(a->options[i].key, "hidden"))
            hidden = 1;
        else if (same(a->options[i].key, "serial"))
            serial = 1;
        else if (same(a->options[i].key, "onnx"))
            onnx = 1;
        else
            return heddle_fail(&a->head, HEDDLE_UNSUPPORTED, "unknown option");
    }
    a->graph_format = is("format") ? 9 : onnx ? HEDDLE_GRAPH_ONNX : HEDDLE_GRAPH_IR;
    a->device_flags = serial ? HEDDLE_DEVICE_SERIAL : 0;
    a->handle = is("open") ? 0 : (uintptr_t)calloc(1, sizeof(device));
    snprintf(logs, sizeof logs, "info opened device %u\nwarn a \x01 warning\n", a->device);
    return HEDDLE_OK;
}

static int32_t close_device(uint64_t device_, heddle_none_args *a)
{
    int live = ((device *)(uintptr_t)device_)->live;
    free((device *)(uintptr_t)device_);
    return live == 0 ? HEDDLE_OK : heddle_fail(&a->head, HEDDLE_ERROR, "objects were left open");
}

static int32_t caps(uint64_t device_, heddle_caps_args *a)
{
    static char big[200000];
    char text[1024];
    (void)device_;
    if (is("caps-garbage"))
        return heddle_put_text(&a->json, "]{\xff");
    if (is("caps-empty"))
        return heddle_put_text(&a->json, "{}");
    if (is("caps-claims")) {
        a->json.len = (uint64_t)1 << 60;
        return HEDDLE_OK;
    }
    if (is("caps-greedy")) {
        a->json.len = (uint64_t)1 << 60;
        return HEDDLE_TOO_SMALL;
    }
    if (is("caps-insatiable")) {
        a->json.len = a->json.cap + 1;
        return HEDDLE_TOO_SMALL;
    }
    if (is("caps-sulky")) {
        a->json.len = 1;
        return HEDDLE_TOO_SMALL;
    }
    snprintf(text, sizeof text,
        "{\"kind\":\"npu\",\"vendor\":\"test\",\"model\":\"mini\",\"version\":\"1\",\"fingerprint\":\"mini-1\","
        "\"ops\":[{\"name\":\"Add\",\"elems\":[\"f32\"]}],\"shapes\":{\"static_only\":false},"
        "\"heaps\":[{\"name\":\"main\",\"host_visible\":%s,\"align\":%s,\"import\":[\"memfd\",\"host\"]}],"
        "\"numerics\":{\"accumulate\":\"f32\"},\"later\":{\"field\":1}}",
        hidden ? "false" : "true", is("caps-align") ? "3" : "64");
    if (is("caps-long")) {
        memset(big, ' ', sizeof big);
        memcpy(big, text, strlen(text));
        return heddle_put(&a->json, big, sizeof big);
    }
    return heddle_put_text(&a->json, text);
}

/* The number of nodes, from section 10 of the binary form. */
static uint32_t nodes_of(const void *graph)
{
    uint64_t n;
    memcpy(&n, (const char *)graph + 32 + 10 * 24 + 8, 8);
    return (uint32_t)n;
}

static int32_t supports(uint64_t device_, heddle_supports_args *a)
{
    uint32_t i;
    const char *why = "only \xff the first";
    (void)device_;
    if (is("supports-fails"))
        return heddle_fail(&a->head, HEDDLE_ERROR, "cannot say");
    if (onnx ? memmem(a->graph, a->graph_size, "0:", 2) == NULL : nodes_of(a->graph) != a->verdict_cap)
        return heddle_fail(&a->head, HEDDLE_INVALID, "the graph is not what it should be");
    for (i = 0; i < a->verdict_cap; i++) {
        heddle_verdict *v = &a->verdicts[i];
        v->reason = HEDDLE_REASON_NONE;
        if (i > 0) {
            v->reason = is("verdict-later") ? 77 : HEDDLE_REASON_OPERATOR;
            v->text = is("verdict-text") ? 0xfffffff0u : 0;
            v->text_len = (uint32_t)strlen(why);
        }
    }
    heddle_put_text(&a->texts, why);
    a->verdict_count = a->verdict_cap;
    if (is("verdict-more"))
        a->verdict_count++;
    if (is("verdict-less"))
        a->verdict_count--;
    if (is("verdict-none"))
        a->verdicts[0].reason = HEDDLE_REASON_UNANSWERED;
    if (is("verdict-texts"))
        a->texts.len = (uint64_t)1 << 50;
    return HEDDLE_OK;
}

typedef struct memory {
    device *of;
    char *bytes;
    uint64_t size;
    int mapped; /* 1: a file; 2: the host's */
} memory;

static int32_t put_memory(uint64_t device_, memory *m, uint64_t *handle, void **bytes)
{
    if (is("memory-handle")) {
        free(m);
        *handle = 0;
        return HEDDLE_OK;
    }
    m->of = (device *)(uintptr_t)device_;
    m->of->live++;
    *handle = (uintptr_t)m;
    *bytes = hidden || is("memory-null") ? NULL : m->bytes + (is("memory-odd") ? 1 : 0);
    return HEDDLE_OK;
}

static int32_t alloc_memory(uint64_t device_, heddle_alloc_args *a)
{
    memory *m;
    void *p = NULL;
    (void)device_;
    if (a->bytes_size > 1 << 30)
        return heddle_fail(&a->head, HEDDLE_OUT_OF_MEMORY, "that is too much");
    if (posix_memalign(&p, 64, a->bytes_size ? a->bytes_size : 1) != 0)
        return HEDDLE_OUT_OF_MEMORY;
    memset(p, 0, a->bytes_size);
    m = calloc(1, sizeof *m);
    m->bytes = p;
    m->size = a->bytes_size;
    return put_memory(device_, m, &a->memory, &a->bytes);
}

static int32_t import_memory(uint64_t device_, heddle_import_args *a)
{
    memory *m = calloc(1, sizeof *m);
    (void)device_;
    m->size = a->bytes_size;
    if (a->kind == HEDDLE_SHARE_HOST) {
        m->bytes = a->address;
        m->mapped = 2;
    } else {
        m->bytes = mmap(NULL, a->bytes_size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
        m->mapped = 1;
        if (m->bytes == MAP_FAILED) {
            free(m);
            return heddle_fail(&a->head, HEDDLE_ERROR, "mmap");
        }
    }
    return put_memory(device_, m, &a->memory, &a->bytes);
}

static int32_t free_memory(uint64_t memory_, heddle_none_args *a)
{
    memory *m = (memory *)(uintptr_t)memory_;
    (void)a;
    if (!m)
        return HEDDLE_INVALID;
    if (m->mapped == 1)
        munmap(m->bytes, m->size);
    else if (m->mapped == 0)
        free(m->bytes);
    m->of->live--;
    free(m);
    return HEDDLE_OK;
}

typedef struct executable {
    device *of;
    float *weight;
    size_t count;
    char label[64];
} executable;

static int32_t compile(uint64_t device_, heddle_compile_args *a)
{
    executable *x;
    (void)device_;
    if (is("compile-fails"))
        return heddle_fail(&a->head, HEDDLE_OUT_OF_MEMORY, "node 3 (the third)\n does not fit");
    if (is("compile-long")) {
        a->head.text_len = 1 << 30;
        return HEDDLE_ERROR;
    }
    if (is("compile-cancels"))
        return HEDDLE_CANCELLED;
    if (is("compile-status"))
        return 4711;
    if (is("compile-handle")) {
        a->executable = 0;
        return HEDDLE_OK;
    }
    if (is("compile-lost"))
        return HEDDLE_DEVICE_LOST;
    if (is("compile-waits")) {
        while (!heddle_cancelled(a->cancel))
            usleep(100);
        return HEDDLE_CANCELLED;
    }
    x = calloc(1, sizeof *x);
    if (a->weight_count > 0) {
        const heddle_weight *w = &a->weights[0];
        x->count = w->size / sizeof(float);
        x->weight = malloc(w->size);
        if (pread(w->fd, x->weight, w->size, (off_t)w->offset) != (ssize_t)w->size) {
            free(x->weight);
            free(x);
            return heddle_fail(&a->head, HEDDLE_ERROR, "weights cannot be read");
        }
    }
    memcpy(x->label, a->label.data, a->label.len < 63 ? a->label.len : 63);
    a->executable = (uintptr_t)x;
    a->arg_align = is("compile-align") ? 48 : 128;
    x->of = (device *)(uintptr_t)device_;
    x->of->live++;
    return HEDDLE_OK;
}

static int32_t release(uint64_t executable_, heddle_none_args *a)
{
    executable *x = (executable *)(uintptr_t)executable_;
    (void)a;
    x->of->live--;
    free(x->weight);
    free(x);
    return HEDDLE_OK;
}

static int32_t footprint(uint64_t executable_, heddle_footprint_args *a)
{
    a->weights = ((executable *)(uintptr_t)executable_)->count * sizeof(float);
    a->scratch = UINT64_MAX;
    return HEDDLE_OK;
}

static int32_t run(uint64_t executable_, heddle_run_args *a)
{
    executable *x = (executable *)(uintptr_t)executable_;
    uint64_t i, n;
    const float *in;
    float *out;
    if (is("run-waits")) {
        uint64_t waited = 0;
        while (!heddle_cancelled(a->cancel)) {
            if (a->timeout_ns > 0 && waited > a->timeout_ns)
                return heddle_fail(&a->head, HEDDLE_TIMEOUT, "too slow");
            usleep(1000);
            waited += 1000000;
        }
        return HEDDLE_CANCELLED;
    }
    if (is("run-cancels"))
        return HEDDLE_CANCELLED;
    if (is("run-lost"))
        return heddle_fail(&a->head, HEDDLE_DEVICE_LOST, "the firmware died");
    enter();
    if (serial)
        usleep(200);
    n = a->args[0].size / sizeof(float);
    in = (const float *)(const void *)(((memory *)(uintptr_t)a->args[0].memory)->bytes + a->args[0].offset);
    out = (float *)(void *)(((memory *)(uintptr_t)a->args[1].memory)->bytes + a->args[1].offset);
    if (!hidden && a->args[1].bytes != (void *)out)
        return heddle_fail(&a->head, HEDDLE_INVALID, "bytes is not where the memory is");
    for (i = 0; i < n; i++)
        out[i] = in[i] + (x->count ? x->weight[i % x->count] : 0);
    leave();
    if (overlaps && serial)
        return heddle_fail(&a->head, HEDDLE_ERROR, "calls overlap");
    return HEDDLE_OK;
}

static int32_t copy(uint64_t device_, heddle_copy_args *a)
{
    uint64_t i;
    (void)device_;
    for (i = 0; i < a->rows; i++)
        memcpy(((memory *)(uintptr_t)a->dst)->bytes + a->dst_offset + i * a->dst_stride,
            ((memory *)(uintptr_t)a->src)->bytes + a->src_offset + i * a->src_stride, a->bytes_size);
    return HEDDLE_OK;
}
static int32_t fill(uint64_t memory_, heddle_fill_args *a)
{
    memset(((memory *)(uintptr_t)memory_)->bytes + a->offset, (int)a->value, a->bytes_size);
    return HEDDLE_OK;
}
static int32_t upload(uint64_t memory_, heddle_upload_args *a)
{
    memcpy(((memory *)(uintptr_t)memory_)->bytes + a->offset, a->host, a->bytes_size);
    return HEDDLE_OK;
}
static int32_t download(uint64_t memory_, heddle_download_args *a)
{
    memcpy(a->host, ((memory *)(uintptr_t)memory_)->bytes + a->offset, a->bytes_size);
    return HEDDLE_OK;
}

/* A blob is "mini" and the weight. */
static int32_t save(uint64_t executable_, heddle_save_args *a)
{
    executable *x = (executable *)(uintptr_t)executable_;
    uint64_t need = 4 + x->count * sizeof(float);
    a->blob.len = need;
    if (need > a->blob.cap)
        return HEDDLE_TOO_SMALL;
    memcpy(a->blob.data, "mini", 4);
    memcpy((char *)a->blob.data + 4, x->weight, x->count * sizeof(float));
    return HEDDLE_OK;
}
static int32_t judge(uint64_t device_, heddle_judge_args *a)
{
    (void)device_;
    a->compat = a->blob_size >= 4 && memcmp(a->blob, "mini", 4) == 0 ? HEDDLE_COMPAT_OPTIMAL : HEDDLE_COMPAT_FOREIGN;
    if (is("judge-more"))
        a->compat = 99;
    return HEDDLE_OK;
}
static int32_t load(uint64_t device_, heddle_load_args *a)
{
    executable *x = calloc(1, sizeof *x);
    (void)device_;
    x->count = (a->blob_size - 4) / sizeof(float);
    x->weight = malloc(a->blob_size);
    memcpy(x->weight, (const char *)a->blob + 4, a->blob_size - 4);
    a->executable = (uintptr_t)x;
    x->of = (device *)(uintptr_t)device_;
    x->of->live++;
    return HEDDLE_OK;
}

static int32_t drain_logs(uint64_t device_, heddle_logs_args *a)
{
    (void)device_;
    if (is("logs-endless"))
        return heddle_put_text(&a->lines, "debug again\n");
    if (is("logs-claim")) {
        a->lines.len = (uint64_t)1 << 50;
        return HEDDLE_OK;
    }
    heddle_put_text(&a->lines, logs);
    logs[0] = 0;
    return HEDDLE_OK;
}

static int32_t drain_events(uint64_t device_, heddle_events_args *a)
{
    (void)device_;
    a->event_count = 1;
    if (is("events-more"))
        a->event_count = a->event_cap + 1;
    a->events[0].node = -1;
    a->events[0].start_ns = is("events-order") ? 9 : 3;
    a->events[0].end_ns = 5;
    a->lost = 2;
    return HEDDLE_OK;
}

static const heddle_driver_table table = {
    TEST_SIZE, TEST_MAJOR, HEDDLE_ABI_MINOR, 0,
    info, probe, open_device, close_device, caps, supports, alloc_memory, free_memory,
#ifdef TEST_LACKS
    NULL, release, NULL,
#else
    compile, release, run,
#endif
    footprint, import_memory, copy, fill, upload, download, save, judge, load, drain_logs, drain_events,
};

#ifdef TEST_ENTRY
int32_t TEST_ENTRY(uint64_t self, heddle_get_args *args);
#define heddle_driver_get TEST_ENTRY
#endif

HEDDLE_EXPORT int32_t heddle_driver_get(uint64_t self, heddle_get_args *args)
{
    (void)self;
#ifdef TEST_REFUSES
    return heddle_fail(&args->head, HEDDLE_UNAVAILABLE, "no licence");
#endif
#ifdef TEST_NULL
    args->table = NULL;
    return HEDDLE_OK;
#endif
    args->table = &table;
    return HEDDLE_OK;
}
