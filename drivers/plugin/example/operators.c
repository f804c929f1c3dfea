/*
 * Which nodes the driver takes. An operator means what ONNX's operator of that
 * name means at the version in the table.
 */
#include "example.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The form of an operator lists its results and, after =, its operands, each as
 *
 *     type:shape    f is f32, i is i64, b is bool, n is f32 or i64, e is f32 or bool
 *
 * A shape is a letter for each dimension; the same letter has the same size
 * everywhere. * stands for any dimensions, the same everywhere; ~ for a shape
 * that can be broadcast to *; . for any shape: then the kernel looks. After a
 * shape, ? allows that it is left out, + that there are several. - must be
 * left out.
 *
 * heddle has verified a graph before the driver gets it. Forms say which part of
 * the operator is implemented, and keep kernels inside of their memory whatever
 * they are given: loops run to sizes that all that they touch has.
 *
 * Attributes that are not listed are refused. name=value allows one value only,
 * which is the default, too.
 */
static const struct operator {
    const char *name;
    int32_t version;
    const char *form, *attributes;
    kernel_fn *kernel;
} operators[] = {
    {"Add", 14, "f:* = f:~ f:~", "", add},
    {"Attention", 25, "f:bhqv = f:bhqd f:bgkd f:bgkv e:qk? - - i:b?", "is_causal scale", attention},
    {"Attention", 25, "f:bqo = f:bqx f:bky f:bkz e:qk? - - i:b?", "is_causal scale q_num_heads kv_num_heads", attention},
    {"Cast", 25, "n:* = n:*", "to", cast},
    {"Concat", 13, "f:. = f:.+", "axis", concat},
    {"Conv", 22, "f:nmpq = f:nchw f:mckl f:m?", "kernel_shape strides", conv},
    {"Expand", 13, "f:* = f:~ i:.", "", expand},
    {"Gather", 13, "f:. = f:. i:.", "axis", gather},
    {"Gelu", 20, "f:* = f:*", "approximate", gelu},
    {"LayerNormalization", 17, "f:*n = f:*n f:n f:n?", "axis=-1 epsilon", layer_norm},
    {"MatMul", 13, "f:*mn = f:*mk f:kn", "", matmul},
    {"MatMul", 13, "f:*mn = f:*mk f:*kn", "", matmul},
    {"Mul", 14, "f:* = f:~ f:~", "", mul},
    {"Pad", 25, "f:. = f:. i:.", "mode=constant", pad},
    {"Relu", 14, "f:* = f:*", "", relu},
    {"Reshape", 25, "f:. = f:. i:.", "allowzero", reshape},
    {"RMSNormalization", 23, "f:*n = f:*n f:n", "axis=-1 epsilon", rms_norm},
    {"RotaryEmbedding", 23, "f:bhsd = f:bhsd f:pr f:pr i:bs", "", rotary_embedding},
    {"Sigmoid", 13, "f:* = f:*", "", sigmoid},
    {"Slice", 13, "f:. = f:. i:n i:n i:n?", "", slice},
    {"Softmax", 13, "f:*n = f:*n", "axis=-1", softmax},
    {"Split", 18, "f:.+ = f:. i:n", "axis", split},
    {"Swish", 24, "f:* = f:*", "", swish},
    {"TensorScatter", 24, "f:bhtd = f:bhtd f:bhsd i:b", "axis=2 mode=linear", tensor_scatter},
    {"Transpose", 25, "f:. = f:.", "perm", transpose},
    {"Where", 16, "e:* = b:~ e:~ e:~", "", where},
};

enum { OPERATORS = sizeof operators / sizeof *operators };

size_t describe_operators(char *json, size_t room)
{
    size_t n = 0;
    for (int i = 0; i < OPERATORS; i++) {
        const struct operator *o = &operators[i];
        char type = strchr(o->form, '=')[2]; /* of the first operand */
        if (i > 0 && strcmp(o[-1].name, o->name) == 0)
            continue;
        n += (size_t)snprintf(json + n, room - n, "%s{\"name\":\"%s\",\"elems\":[%s],\"encodings\":[\"as(f16)\",\"as(bf16)\"]}", i ? "," : "", o->name,
                              type == 'n' ? "\"f32\",\"i64\"" : type == 'b' ? "\"bool\"" : "\"f32\"");
    }
    return n;
}

static uint32_t refuse(char *text, uint32_t reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, MAX_TEXT, format, args);
    va_end(args);
    return reason;
}

static int broadcasts(const tensor *t, const step *s)
{
    int skip = s->outer_rank - t->rank;
    for (int d = 0; d < t->rank && skip >= 0; d++)
        if (t->dims[d] != 1 && t->dims[d] != s->outer[skip + d])
            return 0;
    return skip >= 0;
}

/* Whether a tensor has the shape of a form, which ends at end. Letters and * that
 * had no size get theirs. */
static int shape_fits(step *s, const tensor *t, const char *shape, const char *end)
{
    int star = *shape == '*', lead = t->rank - (int)(end - shape) + star;
    if (*shape == '.')
        return 1;
    if (*shape == '~')
        return s->outer_rank < 0 || broadcasts(t, s); /* it is -1 where the result has symbols */
    if (lead < 0 || (!star && lead > 0))
        return 0;
    if (star && s->outer_rank < 0) {
        s->outer_rank = lead;
        memcpy(s->outer, t->dims, sizeof s->outer);
    }
    if (star && (lead != s->outer_rank || memcmp(s->outer, t->dims, (size_t)lead * sizeof *t->dims) != 0))
        return 0;
    for (int d = lead; d < t->rank; d++) {
        int64_t *size = &s->size[shape[star + d - lead] - 'a'];
        if (*size < 0)
            *size = t->dims[d];
        if (*size != t->dims[d])
            return 0;
    }
    return 1;
}

/* Checks operand or result i, called what, against a word of a form. */
static uint32_t check_value(step *s, const tensor *t, const char *what, uint32_t i, const char *word, const char *end, char *text)
{
    uint8_t want = *word == 'b' ? HEDDLE_BOOL : *word == 'i' ? HEDDLE_I64 : HEDDLE_F32;
    int optional = end[-1] == '?' || end[-1] == '+';
    if (!t)
        return optional || *word == '-' ? HEDDLE_REASON_NONE : refuse(text, HEDDLE_REASON_SHAPE, "%s %u is missing", what, i);
    if (*word == '-')
        return refuse(text, HEDDLE_REASON_SHAPE, "%s %u is not implemented", what, i);
    if (!t->plain || (t->store != t->elem && t->kind != HEDDLE_VALUE_CONST) ||
        (t->store != t->elem && t->store != HEDDLE_F16 && t->store != HEDDLE_BF16))
        return refuse(text, HEDDLE_REASON_ENCODING, "%s %u is quantized, or stored in another type and no weight", what, i);
    if (t->elem != want && !(*word == 'n' && t->elem == HEDDLE_I64) && !(*word == 'e' && t->elem == HEDDLE_BOOL))
        return refuse(text, HEDDLE_REASON_TYPE, "%s %u is %s", what, i, heddle_elem_name(t->elem));
    if (t->known && (t->size < 0 || t->size > MAX_BYTES))
        return refuse(text, HEDDLE_REASON_LIMIT, "%s %u is larger than %lld bytes", what, i, (long long)MAX_BYTES);
    if (t->known && !shape_fits(s, t, word + 2, end - optional))
        return refuse(text, HEDDLE_REASON_SHAPE, "%s %u does not have the shape of %.*s", what, i, (int)(end - word), word);
    return HEDDLE_REASON_NONE;
}

/* Checks the results, or else the operands, against their part of a form. */
static uint32_t check_values(step *s, const char *form, int results, char *text)
{
    const heddle_node *n = &s->node;
    const char *what = results ? "result" : "operand", *end;
    uint32_t count = results ? n->out.count : n->in.count, i = 0, reason;
    for (const char *word = form; *word && *word != '='; word = end + strspn(end, " ")) {
        end = word + strcspn(word, " ");
        do {
            int32_t v = results ? heddle_node_out(s->g, n, i) : heddle_node_in(s->g, n, i);
            if ((reason = check_value(s, v < 0 ? NULL : &s->values[v], what, i, word, end, text)))
                return reason;
        } while (++i < count && end[-1] == '+');
    }
    return i < count ? refuse(text, HEDDLE_REASON_SHAPE, "%s %u is not implemented", what, i) : HEDDLE_REASON_NONE;
}

/* Whether a list of attributes, "axis=-1 epsilon", allows one. */
static int allows(const char *list, const heddle_attr *a)
{
    for (const char *name = list; *name; name += strspn(name, " ")) {
        size_t n = strcspn(name, " ="), all = strcspn(name, " ");
        heddle_str value = {name + n + 1, all - n - 1};
        if (a->name.len == n && memcmp(a->name.data, name, n) == 0)
            return n == all || (a->kind == HEDDLE_ATTR_INT && a->i == atoi(value.data)) ||
                   (a->kind == HEDDLE_ATTR_STRING && a->str.len == value.len && memcmp(a->str.data, value.data, value.len) == 0);
        name += all;
    }
    return 0;
}

static uint32_t check_attributes(const step *s, const char *list, char *text)
{
    for (uint32_t i = 0; i < s->node.attrs.count; i++) {
        heddle_attr a = heddle_graph_attr(s->g, s->node.attrs, i);
        if (!allows(list, &a))
            return refuse(text, HEDDLE_REASON_ATTRIBUTE, "attribute %.64s, or its value, is not implemented", a.name.data);
    }
    return HEDDLE_REASON_NONE;
}

uint32_t judge_node(const heddle_graph *g, const tensor *values, uint32_t node, step *s, char *text)
{
    uint32_t reason = HEDDLE_REASON_OPERATOR;
    memset(s, 0, sizeof *s);
    s->g = g;
    s->values = values;
    s->node = heddle_graph_node(g, node);
    refuse(text, reason, "operator %.64s is not implemented at version %d", s->node.op.data, s->node.version);
    for (int i = 0; i < OPERATORS; i++) {
        const struct operator *o = &operators[i];
        if (s->node.domain.len != 0 || s->node.version != o->version || !heddle_str_is(s->node.op, o->name))
            continue;
        s->kernel = o->kernel;
        s->outer_rank = -1;
        memset(s->size, -1, sizeof s->size);
        if (!(reason = check_values(s, o->form, 1, text)) && !(reason = check_values(s, strchr(o->form, '=') + 2, 0, text)) &&
            !(reason = check_attributes(s, o->attributes, text)))
            break;
    }
    return reason;
}
