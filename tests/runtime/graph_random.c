#include "graph_random.h"

#include "base_random.h"
#include "base_tensor.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { NODES_MAX = 64 };

typedef struct maker {
    base_random random;
    uint32_t drawn;
    char *text;
    size_t size, used;
    int count; /* nodes, the input among them */
    base_shape shape[NODES_MAX];
    int readers[NODES_MAX];
} maker;

static int draw(maker *self, int below)
{
    uint32_t words[4];
    base_random_block(&self->random, 0, self->drawn++, words);
    return (int)(words[0] % (uint32_t)below);
}

static void put(maker *self, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(maker *self, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(self->text + self->used, self->size - self->used, fmt, args);
    va_end(args);
    assert_true(n >= 0 && self->used + (size_t)n < self->size);
    self->used += (size_t)n;
}

static void put_input(maker *self, int node)
{
    if (node == 0)
        put(self, "\"input\"");
    else
        put(self, "\"l%d\"", node);
    self->readers[node]++;
}

/* Opens the layer that becomes the next node. */
static void begin(maker *self, const char *type, base_shape shape)
{
    assert_true(self->count < NODES_MAX);
    self->shape[self->count] = shape;
    put(self, "%s{ name = \"l%d\"; type = \"%s\"; ", self->count > 1 ? ",\n" : "", self->count, type);
    self->count++;
}

static void end(maker *self, int input)
{
    put(self, "inputs = [");
    put_input(self, input);
    put(self, "]; }");
}

static const char *draw_activation(maker *self)
{
    static const char *const names[] = {"identity", "relu", "gelu", "tanh", "sigmoid"};
    return names[draw(self, 5)];
}

static void add_dense(maker *self, int from)
{
    int units = 1 + draw(self, 9);
    begin(self, "dense", base_shape_vector(units));
    put(self, "units = %d; activation = \"%s\"; bias = %s; ", units, draw_activation(self),
        draw(self, 2) ? "true" : "false");
    end(self, from);
}

static void add_conv(maker *self, int from)
{
    base_shape shape = self->shape[from];
    shape.c = 1 + draw(self, 4);
    begin(self, "conv2d", shape);
    put(self, "filters = %" PRId64 "; kernel = 3; padding = 1; activation = \"%s\"; ", shape.c, draw_activation(self));
    end(self, from);
}

static void add_pool(maker *self, int from)
{
    base_shape shape = self->shape[from];
    shape.h /= 2;
    shape.w /= 2;
    begin(self, draw(self, 2) ? "max_pool2d" : "avg_pool2d", shape);
    put(self, "kernel = 2; ");
    end(self, from);
}

static void add_same(maker *self, int from)
{
    base_shape shape = self->shape[from];
    switch (draw(self, 4)) {
    case 0:
        begin(self, "batch_norm", shape);
        put(self, "activation = \"%s\"; ", draw_activation(self));
        break;
    case 1:
        begin(self, "activation", shape);
        put(self, "activation = \"%s\"; ", draw_activation(self));
        break;
    case 2: begin(self, "flatten", base_shape_vector(base_shape_count(shape))); break;
    default: begin(self, "dropout", shape); put(self, "rate = 0.5; ");
    }
    end(self, from);
}

/* `from` and another node that fits it, which may be itself. */
static void add_joined(maker *self, int from)
{
    int is_add = draw(self, 2), other = from, start = draw(self, self->count);
    base_shape shape = self->shape[from];
    for (int i = 0; i < self->count; i++) {
        int candidate = (start + i) % self->count;
        base_shape s = self->shape[candidate];
        if (is_add ? base_shape_equal(s, shape) : s.h == shape.h && s.w == shape.w && s.flat == shape.flat) {
            other = candidate;
            break;
        }
    }
    if (!is_add)
        shape.c += self->shape[other].c;
    begin(self, is_add ? "add" : "concat", shape);
    put(self, "inputs = [");
    put_input(self, from);
    put(self, ", ");
    put_input(self, other);
    put(self, "]; }");
}

static void add_layer(maker *self)
{
    /* Late nodes more often, so that there are chains as well as fans. */
    int from = draw(self, 2) ? self->count - 1 : draw(self, self->count);
    base_shape shape = self->shape[from];
    switch (draw(self, 6)) {
    case 0: add_dense(self, from); break;
    case 1: shape.flat ? add_dense(self, from) : add_conv(self, from); break;
    case 2: shape.flat || shape.h < 2 ? add_same(self, from) : add_pool(self, from); break;
    case 3: add_joined(self, from); break;
    default: add_same(self, from); break;
    }
}

static void join_loose_ends(maker *self)
{
    int ends[NODES_MAX] = {0}, count = 0, nodes = self->count;
    int64_t width = 0;
    for (int n = 1; n < nodes; n++) {
        if (self->readers[n])
            continue;
        ends[count] = n;
        if (!self->shape[n].flat) {
            begin(self, "flatten", base_shape_vector(base_shape_count(self->shape[n])));
            end(self, n);
            ends[count] = self->count - 1;
        }
        width += base_shape_count(self->shape[n]);
        count++;
    }
    int last = ends[0];
    if (count > 1) {
        last = self->count;
        begin(self, "concat", base_shape_vector(width));
        put(self, "inputs = [");
        for (int i = 0; i < count; i++) {
            put(self, i ? ", " : "");
            put_input(self, ends[i]);
        }
        put(self, "]; }");
    }
    begin(self, "dense", base_shape_vector(3));
    put(self, "units = 3; ");
    end(self, last);
    put(self, "\n");
}

void graph_random_layers(uint32_t number, char *text, size_t size)
{
    maker self = {.random = base_random_stream(number, 1, 0), .text = text, .size = size, .count = 1};
    self.shape[0] = base_shape_image(2, 8, 8);
    int layers = 1 + draw(&self, 16);
    for (int l = 0; l < layers; l++)
        add_layer(&self);
    join_loose_ends(&self);
}
