#include "base_tensor.h"

#include <inttypes.h>
#include <stdio.h>

char *base_shape_text(base_shape s, char *text)
{
    if (s.flat)
        snprintf(text, 64, "%" PRId64, s.c);
    else
        snprintf(text, 64, "%" PRId64 "x%" PRId64 "x%" PRId64, s.c, s.h, s.w);
    return text;
}

base_tensor base_tensor_slice(const base_tensor *t, int64_t begin, int64_t batch)
{
    return (base_tensor){.data = t->data + begin * base_shape_count(t->shape), .batch = batch, .shape = t->shape};
}
