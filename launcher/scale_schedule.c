#include "scale_schedule.h"

#include "base_random.h"

static void shuffle(scale_schedule *self)
{
    for (int i = 0; i < self->count; i++)
        self->order[i] = i;
    base_random random = base_random_stream(self->seed, BASE_STREAM_SHUFFLE, (uint64_t)self->round);
    for (int i = self->count - 1; i > 0; i--) {
        uint32_t words[4];
        base_random_block(&random, (uint32_t)i, 0, words);
        int j = (int)(words[0] % (uint32_t)(i + 1)), kept = self->order[i];
        self->order[i] = self->order[j];
        self->order[j] = kept;
    }
}

/* To the next point that needs a trial. */
static void settle(scale_schedule *self)
{
    while (self->round < self->repeats) {
        for (; self->next < self->count; self->next++)
            if (!self->enough[self->order[self->next]])
                return;
        self->round++;
        self->next = 0;
        shuffle(self);
    }
}

void scale_schedule_start(scale_schedule *self, int count, int repeats, uint64_t seed)
{
    *self = (scale_schedule){.count = count, .repeats = repeats, .seed = seed};
    shuffle(self);
}

int scale_schedule_next(const scale_schedule *self)
{
    return self->round < self->repeats ? self->order[self->next] : -1;
}

void scale_schedule_done(scale_schedule *self, double seconds, int enough)
{
    int point = self->order[self->next++];
    self->done[point]++;
    self->seconds[point] += seconds;
    self->enough[point] = enough;
    settle(self);
}

double scale_schedule_left(const scale_schedule *self)
{
    int trials = 0;
    double all = 0.0, left = 0.0;
    for (int i = 0; i < self->count; i++) {
        trials += self->done[i];
        all += self->seconds[i];
    }
    for (int i = 0; i < self->count; i++) {
        double each = self->done[i] ? self->seconds[i] / self->done[i] : trials ? all / trials : 0.0;
        left += self->enough[i] ? 0.0 : each * (self->repeats - self->done[i]);
    }
    return left;
}
