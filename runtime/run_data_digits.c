/* The built-in set: digits 0-9 drawn as strokes on 28 x 28 pixels, bent, slanted, moved, blotted and noisy.
 *
 * A digit is a few strokes in a unit square. Each sample moves their control points a little, bends and maps them by a
 * random affine map, and draws them with a random width; then come stray strokes and noise. Only +, -, * and / are
 * used, so that every machine draws the same bytes.
 */
#include "base_random.h"
#include "run_data_source.h"

#include <stdio.h>
#include <string.h>

/* A fused multiply-add rounds once instead of twice. GCC fuses only where asked to (-std=c17). */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* Apart from train.seed: the same digits for every run. Sample s of the test split is number 2^31 + s. */
enum { DATA_SEED = 2026, DATA_STEP = 1, TRAIN_SAMPLES = 60000, TEST_SAMPLES = 10000 };
static const uint32_t test_first = UINT32_C(1) << 31;

enum { SIDE = 28, PIXELS = SIDE * SIDE, DIGITS = 10, VARIANTS = 3, STROKES_MAX = 8, GROUP = 4 };

/* ---- the shapes ---- */

/* x to the right, y down, 0 .. 1. An arc is part of an ellipse around (x, y) from one angle to another, in twelfths of
 * a turn, 0 to the right and 3 down; the pen goes to its begin in a straight line. */
typedef enum stroke_kind { END, MOVE, LINE, ARC } stroke_kind;

typedef struct stroke {
    stroke_kind kind;
    float at[6]; /* x, y; of an arc also its radii along x and y, where it begins and where it ends */
} stroke;

static const stroke shapes[DIGITS][VARIANTS][STROKES_MAX] = {
    {{{ARC, {.5f, .5f, .36f, .5f, -3, 9}}},
     {{ARC, {.5f, .5f, .28f, .5f, -2, 10}}},
     {{ARC, {.5f, .5f, .42f, .46f, -3, 9}}}},
    {{{MOVE, {.5f, 0}}, {LINE, {.5f, 1}}},
     {{MOVE, {.28f, .22f}}, {LINE, {.54f, 0}}, {LINE, {.54f, 1}}},
     {{MOVE, {.3f, .2f}}, {LINE, {.5f, 0}}, {LINE, {.5f, 1}}, {MOVE, {.25f, 1}}, {LINE, {.78f, 1}}}},
    {{{ARC, {.5f, .28f, .34f, .28f, 6, 13}}, {LINE, {.12f, 1}}, {LINE, {.9f, 1}}},
     {{ARC, {.48f, .26f, .32f, .26f, 7, 14}},
      {LINE, {.14f, .94f}},
      {LINE, {.4f, .86f}},
      {LINE, {.66f, 1}},
      {LINE, {.92f, .92f}}},
     {{ARC, {.5f, .3f, .36f, .3f, 6, 14}},
      {LINE, {.2f, .9f}},
      {LINE, {.12f, .84f}},
      {LINE, {.3f, .8f}},
      {LINE, {.9f, 1}}}},
    {{{ARC, {.45f, .26f, .34f, .26f, 7, 15}}, {ARC, {.45f, .74f, .38f, .26f, 9, 17}}},
     {{MOVE, {.15f, 0}}, {LINE, {.8f, 0}}, {LINE, {.42f, .4f}}, {ARC, {.44f, .7f, .38f, .3f, 9, 17}}},
     {{ARC, {.45f, .24f, .3f, .24f, 7, 14}}, {LINE, {.36f, .48f}}, {ARC, {.42f, .74f, .4f, .26f, 9, 16}}}},
    {{{MOVE, {.25f, 0}}, {LINE, {.12f, .6f}}, {LINE, {.9f, .6f}}, {MOVE, {.68f, .15f}}, {LINE, {.62f, 1}}},
     {{MOVE, {.66f, 1}}, {LINE, {.66f, 0}}, {LINE, {.1f, .68f}}, {LINE, {.92f, .68f}}},
     {{MOVE, {.2f, .05f}}, {LINE, {.2f, .52f}}, {LINE, {.8f, .48f}}, {MOVE, {.8f, 0}}, {LINE, {.78f, 1}}}},
    {{{MOVE, {.85f, 0}}, {LINE, {.25f, 0}}, {LINE, {.2f, .42f}}, {ARC, {.45f, .68f, .38f, .32f, 8, 17}}},
     {{MOVE, {.3f, .04f}},
      {LINE, {.24f, .45f}},
      {ARC, {.44f, .7f, .4f, .3f, 9, 16}},
      {MOVE, {.3f, .04f}},
      {LINE, {.88f, 0}}},
     {{MOVE, {.75f, 0}}, {LINE, {.35f, .02f}}, {LINE, {.3f, .38f}}, {ARC, {.48f, .68f, .34f, .32f, 8, 18}}}},
    {{{ARC, {.6f, .55f, .45f, .55f, 10, 6}}, {ARC, {.5f, .7f, .35f, .3f, 6, -6}}},
     {{MOVE, {.68f, 0}}, {LINE, {.3f, .4f}}, {ARC, {.48f, .7f, .34f, .3f, 6, -6}}},
     {{MOVE, {.4f, 0}}, {LINE, {.18f, .5f}}, {ARC, {.5f, .76f, .34f, .24f, 6, -7}}}},
    {{{MOVE, {.1f, 0}}, {LINE, {.88f, 0}}, {LINE, {.4f, 1}}},
     {{MOVE, {.1f, .04f}}, {LINE, {.88f, 0}}, {LINE, {.42f, 1}}, {MOVE, {.32f, .5f}}, {LINE, {.8f, .48f}}},
     {{MOVE, {.12f, .18f}}, {LINE, {.14f, 0}}, {LINE, {.86f, .02f}}, {LINE, {.58f, .5f}}, {LINE, {.5f, 1}}}},
    {{{ARC, {.5f, .25f, .28f, .25f, 3, 15}}, {ARC, {.5f, .75f, .36f, .25f, -3, 9}}},
     {{ARC, {.5f, .24f, .34f, .24f, -2, 9}},
      {LINE, {.3f, .42f}},
      {LINE, {.7f, .6f}},
      {ARC, {.5f, .76f, .32f, .24f, 0, 8}},
      {LINE, {.7f, .36f}}},
     {{ARC, {.5f, .27f, .32f, .27f, 3, 15}}, {ARC, {.5f, .77f, .3f, .23f, -3, 9}}}},
    {{{ARC, {.5f, .28f, .34f, .28f, 0, -12}}, {LINE, {.76f, 1}}},
     {{ARC, {.48f, .28f, .32f, .28f, 0, -12}}, {ARC, {.4f, .6f, .4f, .4f, 0, 4}}},
     {{ARC, {.5f, .25f, .3f, .25f, -1, -12}}, {LINE, {.82f, .3f}}, {LINE, {.45f, 1}}}},
};

/* ---- random numbers of one sample ---- */

typedef struct draw {
    base_random random;
    uint32_t sample, block, words[4];
    int used;
} draw;

static uint32_t draw_word(draw *d)
{
    if (d->used == 4) {
        base_random_block(&d->random, d->sample, d->block++, d->words);
        d->used = 0;
    }
    return d->words[d->used++];
}

static float draw_between(draw *d, float low, float high)
{
    return low + (high - low) * base_random_uniform(draw_word(d));
}

static int draw_below(draw *d, uint32_t n)
{
    return (int)((uint64_t)draw_word(d) * n >> 32);
}

/* ---- the pen ---- */

typedef struct point {
    float x, y;
} point;

/* Of one sample: the map from the unit square to pixels, and the pen. */
typedef struct style {
    float bend[4];
    float xx, xy, yx, yy, x0, y0;
    float radius, ink;
} style;

static style draw_style(draw *d)
{
    style s;
    for (int i = 0; i < 4; i++)
        s.bend[i] = draw_between(d, -0.25f, 0.25f);
    float height = draw_between(d, 14, 22), width = height * draw_between(d, 0.5f, 0.95f);
    float shear = draw_between(d, -0.35f, 0.35f);
    float t = draw_between(d, -0.16f, 0.16f); /* tangent of half the angle of rotation: up to 18 degrees */
    float cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
    s.xx = cosine * width;
    s.xy = (cosine * shear - sine) * height;
    s.yx = sine * width;
    s.yy = (sine * shear + cosine) * height;
    s.x0 = 13.5f + draw_between(d, -2.5f, 2.5f);
    s.y0 = 13.5f + draw_between(d, -2.5f, 2.5f);
    s.radius = draw_between(d, 0.6f, 1.7f);
    s.ink = draw_between(d, 0.6f, 1);
    return s;
}

static point place(const style *s, float x, float y)
{
    float u = x - 0.5f, v = y - 0.5f;
    float bu = u + s->bend[0] * (v * v) + s->bend[1] * (u * v);
    float bv = v + s->bend[2] * (u * u) + s->bend[3] * (u * v);
    return (point){s->x0 + s->xx * bu + s->xy * bv, s->y0 + s->yx * bu + s->yy * bv};
}

/* The pixels that a pen of `reach` touches between a and b, from *first to before *end, in groups of `group`. */
static void touched(float a, float b, float reach, int group, int *first, int *end)
{
    float low = (a < b ? a : b) - reach, high = (a < b ? b : a) + reach;
    *first = low > 0 ? (int)low / group * group : 0;
    *end = high < 0 ? 0 : high < SIDE - 1 ? ((int)high + group) / group * group : SIDE;
}

typedef struct line {
    float ax, ay, dx, dy, ux, uy; /* u: d over its squared length */
    float outer, slope, ink;
} line;

/* Pixels x .. x + GROUP - 1 of row y. The ink falls with the squared distance from the line. */
static void draw_group(const line *l, float x, float y, float pixels[GROUP])
{
    static const float steps[GROUP] = {0, 1, 2, 3};
    for (int i = 0; i < GROUP; i++) {
        const float px = x + steps[i] - l->ax, py = y - l->ay;
        float t = px * l->ux + py * l->uy; /* nearest point of the line */
        t = t > 0 ? t : 0;
        t = t < 1 ? t : 1;
        const float ex = px - t * l->dx, ey = py - t * l->dy;
        float v = (l->outer - (ex * ex + ey * ey)) * l->slope;
        v = (v < 1 ? v : 1) * l->ink;
        pixels[i] = pixels[i] > v ? pixels[i] : v;
    }
}

/* The canvas becomes at least the ink of a line from a to b: full within radius - 1/2, none beyond radius + 1/2. */
static void draw_line(float canvas[PIXELS], point a, point b, float radius, float ink)
{
    const float reach = radius + 0.5f, outer = reach * reach, inner = (radius - 0.5f) * (radius - 0.5f);
    const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    const float inverse = length2 > 0 ? 1 / length2 : 0;
    const line l = {.ax = a.x,
                    .ay = a.y,
                    .dx = dx,
                    .dy = dy,
                    .ux = dx * inverse,
                    .uy = dy * inverse,
                    .outer = outer,
                    .slope = 1 / (outer - inner),
                    .ink = ink};
    int x_first, x_end, y_first, y_end;
    touched(a.x, b.x, reach, GROUP, &x_first, &x_end);
    touched(a.y, b.y, reach, 1, &y_first, &y_end);
    for (int y = y_first; y < y_end; y++)
        for (int x = x_first; x < x_end; x += GROUP)
            draw_group(&l, (float)x, (float)y, canvas + y * SIDE + x);
}

/* ---- one sample ---- */

/* Control points tremble, each on its own. */
static float tremble(draw *d, float value)
{
    return value + draw_between(d, -0.06f, 0.06f);
}

static void draw_arc(draw *d, const stroke *k, const style *s, float canvas[PIXELS], point *pen, int *down)
{
    static const float cosines[12] = {1,  0.8660254f,  0.5f,  0, -0.5f, -0.8660254f,
                                      -1, -0.8660254f, -0.5f, 0, 0.5f,  0.8660254f};
    const float x = tremble(d, k->at[0]), y = tremble(d, k->at[1]);
    const float rx = tremble(d, k->at[2]), ry = tremble(d, k->at[3]);
    const int from = (int)k->at[4], to = (int)k->at[5], step = to > from ? 1 : -1;
    for (int i = from; i != to + step; i += step) {
        const int at = (i % 12 + 12) % 12;
        point p = place(s, x + rx * cosines[at], y + ry * cosines[(at + 9) % 12]);
        if (*down)
            draw_line(canvas, *pen, p, s->radius, s->ink);
        *pen = p;
        *down = 1;
    }
}

static void draw_digit(draw *d, int digit, const style *s, float canvas[PIXELS])
{
    const stroke *k = shapes[digit][draw_below(d, VARIANTS)];
    point pen = {0, 0};
    int down = 0;
    for (int i = 0; i < STROKES_MAX && k[i].kind != END; i++) {
        if (k[i].kind == ARC) {
            draw_arc(d, &k[i], s, canvas, &pen, &down);
            continue;
        }
        const float x = tremble(d, k[i].at[0]), y = tremble(d, k[i].at[1]);
        point p = place(s, x, y);
        if (k[i].kind == LINE)
            draw_line(canvas, pen, p, s->radius, s->ink);
        pen = p;
        down = 1;
    }
}

static void draw_strays(draw *d, float canvas[PIXELS])
{
    for (int n = draw_below(d, 3); n > 0; n--) {
        point a = {draw_between(d, 0, SIDE - 1), draw_between(d, 0, SIDE - 1)};
        point b = {a.x + draw_between(d, -6, 6), a.y + draw_between(d, -6, 6)};
        const float radius = draw_between(d, 0.55f, 1);
        draw_line(canvas, a, b, radius, draw_between(d, 0.3f, 0.9f));
    }
}

/* Noise of up to a fifth of full scale either way, four pixels a random word. */
static void finish(draw *d, const float canvas[PIXELS], uint8_t pixels[PIXELS])
{
    uint32_t words[PIXELS / 4];
    uint8_t noise[PIXELS];
    const float amplitude = draw_between(d, 0, 0.4f);
    for (uint32_t i = 0; i < PIXELS / 4; i += 4)
        base_random_block(&d->random, d->sample, d->block++, words + i);
    memcpy(noise, words, sizeof noise);
    for (int i = 0; i < PIXELS; i++) {
        float v = canvas[i] * 255 + amplitude * ((float)noise[i] - 128);
        v = v > 0 ? v : 0;
        pixels[i] = (uint8_t)(int)(v < 255 ? v : 255);
    }
}

static uint8_t draw_sample(const base_random *random, uint32_t sample, uint8_t pixels[PIXELS])
{
    float canvas[PIXELS] = {0};
    draw d = {.random = *random, .sample = sample, .used = 4};
    const int digit = draw_below(&d, DIGITS);
    const style s = draw_style(&d);
    draw_digit(&d, digit, &s, canvas);
    draw_strays(&d, canvas);
    finish(&d, canvas, pixels);
    return (uint8_t)digit;
}

/* ---- the source ---- */

static base_status probe(const run_config *config, run_data_split split, run_data_plan *plan)
{
    int64_t given = split == RUN_DATA_TRAIN ? config->data.train_samples : config->data.test_samples;
    plan->samples = given > 0 ? given : split == RUN_DATA_TRAIN ? TRAIN_SAMPLES : TEST_SAMPLES;
    plan->shape = base_shape_image(1, SIDE, SIDE);
    plan->classes = config->data.classes > 0 ? config->data.classes : DIGITS;
    snprintf(plan->source, sizeof plan->source, "digits (built in)");
    if (plan->classes < DIGITS)
        return BASE_FAIL(BASE_USAGE, "%s: data.classes = %lld, digits has 10 (at least 10 is expected)",
                         run_data_where(config), (long long)plan->classes);
    if (plan->samples > INT32_MAX)
        return BASE_FAIL(BASE_USAGE, "%s: %lld digits, at most %d are allowed", run_data_where(config),
                         (long long)plan->samples, INT32_MAX);
    return run_data_check_size(BASE_USAGE, plan->source, plan->samples, plan->shape);
}

static base_status fill(const run_config *config, run_data_split split, const run_data_plan *plan,
                        const run_data_part *part)
{
    (void)config;
    const base_random random = base_random_stream(DATA_SEED, BASE_STREAM_DATA, DATA_STEP);
    const int64_t end = plan->samples * (part->part + 1) / part->parts;
    for (int64_t i = plan->samples * part->part / part->parts; i < end; i++)
        part->labels[i] =
            draw_sample(&random, (uint32_t)i + (split == RUN_DATA_TEST ? test_first : 0), part->pixels + i * PIXELS);
    return BASE_OK;
}

/* Measured over the 60,000 of the training split. */
static const float digits_mean[] = {0.1254f}, digits_deviation[] = {0.2458f};

const run_data_source run_data_source_digits = {
    .probe = probe, .fill = fill, .mean = digits_mean, .deviation = digits_deviation, .channels = 1};
