/*
 * Prints all that the accessors read of a graph, for a comparison with what Go
 * knows of it.
 */
#include "heddle_driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static heddle_graph g;

static void text(const char *name, heddle_str s) { printf(" %s=<%.*s>%s", name, (int)s.len, s.data, s.data[s.len] ? "!" : ""); }

static void ints(const char *name, heddle_list l)
{
    printf(" %s=[", name);
    for (uint32_t i = 0; i < l.count; i++)
        printf("%" PRId64 " ", heddle_graph_int(&g, l, i));
    printf("]");
}

static void dims(const char *name, heddle_list l)
{
    printf(" %s=[", name);
    for (uint32_t i = 0; i < l.count; i++) {
        heddle_dim d = heddle_graph_dim(&g, l, i);
        printf("%" PRId64 "<%.*s> ", d.value, (int)d.text.len, d.text.data);
    }
    printf("]");
}

static void bytes(heddle_bytes b)
{
    printf(" bytes=");
    for (uint64_t i = 0; i < b.size; i++)
        printf("%02x", ((const unsigned char *)b.data)[i]);
}

static void type(heddle_type t)
{
    printf(" %s kind=%d store=%d scale=%d format=%d zero=%d axis=%d block=%u", heddle_elem_name(t.elem), t.kind, t.store, t.scale, t.format, t.has_zero, t.axis, t.block);
}

static void attribute(heddle_attr a)
{
    printf("  attr");
    text("name", a.name);
    printf(" kind=%d", a.kind);
    switch (a.kind) {
    case HEDDLE_ATTR_INT: printf(" %" PRId64, a.i); break;
    case HEDDLE_ATTR_FLOAT: printf(" %a", a.f); break;
    case HEDDLE_ATTR_STRING: text("str", a.str); break;
    case HEDDLE_ATTR_INTS: ints("ints", a.list); break;
    case HEDDLE_ATTR_FLOATS:
        for (uint32_t i = 0; i < a.list.count; i++)
            printf(" %a", heddle_graph_float(&g, a.list, i));
        break;
    case HEDDLE_ATTR_STRINGS:
        for (uint32_t i = 0; i < a.list.count; i++)
            text("str", heddle_graph_str(&g, a.list, i));
        break;
    case HEDDLE_ATTR_ELEM: printf(" %s", heddle_elem_name(a.elem)); break;
    case HEDDLE_ATTR_TENSOR: {
        heddle_tensor t = heddle_graph_tensor(&g, a.list);
        type(t.type);
        ints("shape", t.type.shape);
        bytes(t.bytes);
    }
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    FILE *f = fopen(argc > 1 ? argv[1] : "", "rb");
    void *blob = NULL;
    size_t size;
    const char *why;
    if (!f || posix_memalign(&blob, 16, 1 << 20) != 0)
        return 1;
    size = fread(blob, 1, 1 << 20, f);
    fclose(f);
    if ((why = heddle_graph_open(blob, size, &g))) {
        printf("%s\n", why);
        return 1;
    }
    printf("graph");
    text("name", g.name);
    printf("\n");
    for (uint32_t i = 0; i < heddle_graph_symbols(&g); i++) {
        heddle_symbol s = heddle_graph_symbol(&g, i);
        printf("symbol");
        text("name", s.name);
        printf(" %" PRId64 "..%" PRId64, s.min, s.max);
        ints("buckets", s.buckets);
        printf("\n");
    }
    for (uint32_t i = 0; i < heddle_graph_sources(&g); i++) {
        heddle_source s = heddle_graph_source(&g, i);
        printf("source");
        text("name", s.name);
        text("id", s.id);
        printf(" %" PRId64 "\n", s.size);
    }
    for (uint32_t i = 0; i < heddle_graph_values(&g); i++) {
        heddle_value v = heddle_graph_value(&g, i);
        printf("value");
        text("name", v.name);
        type(v.type);
        dims("shape", v.type.shape);
        printf(" value_kind=%d node=%d", v.kind, v.node);
        if (v.is_dims)
            dims("dims", v.dims);
        if (v.has_perm)
            ints("perm", v.perm);
        printf(" join=%d\n", v.axis);
        for (uint32_t k = 0; k < v.parts.count; k++) {
            heddle_part p = heddle_graph_part(&g, v.parts, k);
            printf("  part");
            type(p.type);
            ints("shape", p.type.shape);
            printf(" source=%d at=%" PRId64 ",%" PRId64 ",%" PRId64, p.source, p.offset, p.scale_offset, p.zero_offset);
            if (p.is_slice) {
                ints("start", p.start);
                ints("count", p.count);
            }
            if (p.is_inline)
                bytes(p.bytes);
            printf("\n");
        }
    }
    for (uint32_t i = 0; i < heddle_graph_nodes(&g); i++) {
        heddle_node n = heddle_graph_node(&g, i);
        printf("node");
        text("domain", n.domain);
        text("op", n.op);
        text("name", n.name);
        printf(" version=%d in=[", n.version);
        for (uint32_t k = 0; k < n.in.count; k++)
            printf("%d ", heddle_node_in(&g, &n, k));
        printf("] out=[");
        for (uint32_t k = 0; k < n.out.count; k++)
            printf("%d ", heddle_node_out(&g, &n, k));
        printf("]\n");
        for (uint32_t k = 0; k < n.attrs.count; k++)
            attribute(heddle_graph_attr(&g, n.attrs, k));
    }
    for (uint32_t i = 0; i < heddle_graph_inputs(&g); i++) {
        heddle_port p = heddle_graph_input(&g, i);
        printf("input");
        text("name", p.name);
        printf(" %d\n", p.value);
    }
    for (uint32_t i = 0; i < heddle_graph_outputs(&g); i++) {
        heddle_port p = heddle_graph_output(&g, i);
        printf("output");
        text("name", p.name);
        printf(" %d\n", p.value);
    }
    for (uint32_t i = 0; i < heddle_graph_states(&g); i++) {
        heddle_state s = heddle_graph_state(&g, i);
        printf("state");
        text("name", s.name);
        printf(" %d %d\n", s.first, s.last);
    }
    return 0;
}
