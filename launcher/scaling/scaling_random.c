#include "scaling_random.h"

#include <math.h>

#define PI 3.14159265358979323846

scaling_random scaling_random_start(uint64_t seed, uint32_t stream, uint32_t sample)
{
    return (scaling_random){.source = base_random_stream(seed, stream, 0), .sample = sample};
}

static uint32_t next(scaling_random *self)
{
    if (self->left == 0) {
        base_random_block(&self->source, self->sample, self->block++, self->words);
        if (self->block == 0)
            self->source.step++;
        self->left = 4;
    }
    return self->words[--self->left];
}

int scaling_random_below(scaling_random *self, int count)
{
    return (int)((uint64_t)next(self) * (uint64_t)count >> 32);
}

double scaling_random_uniform(scaling_random *self)
{
    uint64_t bits = (uint64_t)next(self) << 32;
    bits |= next(self);
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

double scaling_random_normal(scaling_random *self)
{
    double radius = sqrt(-2.0 * log(scaling_random_uniform(self)));
    return radius * cos(2.0 * PI * scaling_random_uniform(self));
}

/* Gamma with a shape of at least 1. */
static double gamma_from(scaling_random *self, double shape)
{
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = scaling_random_normal(self), v = 1.0 + c * x;
        if (v <= 0.0)
            continue;
        v *= v * v;
        if (log(scaling_random_uniform(self)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

double scaling_random_chi_squared(scaling_random *self, double df)
{
    double shape = 0.5 * df;
    if (shape >= 1.0)
        return 2.0 * gamma_from(self, shape);
    double boost = pow(scaling_random_uniform(self), 1.0 / shape);
    return 2.0 * gamma_from(self, shape + 1.0) * boost;
}
