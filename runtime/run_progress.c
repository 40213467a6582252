#include "run_progress.h"

#include "base_log.h"
#include "base_time.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REFRESH_S 0.2

/* A launcher passes the ranks' output on, so that theirs is a pipe: what counts is where the launcher's own ends. */
static int is_launcher(long pid, long *parent)
{
    static const char *const names[] = {"hydra_pmi_proxy", "mpiexec", "mpirun", "orted", "prted", "prterun"};
    char path[64], text[512], *end;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    char *name = strchr(text, '(');
    if (!name || !(end = strrchr(text, ')')) || sscanf(end + 1, " %*c %ld", parent) != 1)
        return 0;
    *end = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name + 1, names[i], strlen(names[i])) == 0)
            return 1;
    return 0;
}

static int ends_at_terminal(void)
{
    char path[64], target[64];
    if (isatty(STDERR_FILENO))
        return 1;
    long last = 0;
    for (long pid = getppid(), parent; pid > 1 && is_launcher(pid, &parent); pid = parent)
        last = pid;
    snprintf(path, sizeof path, "/proc/%ld/fd/2", last);
    ssize_t n = last ? readlink(path, target, sizeof target - 1) : -1;
    if (n < 0)
        return 0;
    target[n] = '\0';
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

void run_progress_start(run_progress *self, const run_job *job, int64_t first_step)
{
    double now = base_time_now();
    *self = (run_progress){.active = job->info.rank == 0,
                           .terminal = job->info.rank == 0 && ends_at_terminal(),
                           .epochs = job->config->train.epochs,
                           .total_steps = job->total_steps,
                           .began = now,
                           .shown = now,
                           .first_step = first_step,
                           .epoch_began = now};
}

static const char *time_text(double seconds, char text[32])
{
    int64_t s = seconds > 0.0 ? (int64_t)(seconds + 0.5) : 0;
    if (s < 60)
        snprintf(text, 32, "%" PRId64 " s", s);
    else if (s < 3600)
        snprintf(text, 32, "%" PRId64 ":%02d min", s / 60, (int)(s % 60));
    else
        snprintf(text, 32, "%" PRId64 ":%02d h", s / 3600, (int)(s % 3600 / 60));
    return text;
}

static const char *rate_text(double rate, char text[32])
{
    if (rate >= 1e6)
        snprintf(text, 32, "%.2f M samples/s", rate * 1e-6);
    else if (rate >= 1e4)
        snprintf(text, 32, "%.1f k samples/s", rate * 1e-3);
    else
        snprintf(text, 32, "%.0f samples/s", rate);
    return text;
}

/* From the mean pace so far, evaluations included. */
static double seconds_left(const run_progress *self, int64_t step, double now)
{
    int64_t done = step - self->first_step;
    return done > 0 ? (now - self->began) / (double)done * (double)(self->total_steps - step) : 0.0;
}

void run_progress_step(run_progress *self, int64_t step, int64_t epoch, int64_t samples, double loss, double accuracy)
{
    self->epoch_samples += samples;
    if (!self->active || !self->terminal)
        return;
    double now = base_time_now();
    if (now - self->shown < REFRESH_S)
        return;
    char rate[32], left[32];
    fprintf(stderr,
            "\r\033[Kepoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64 "  loss %.4f acc %.2f %%  %s  %s left",
            epoch, self->epochs, step, self->total_steps, loss, 100.0 * accuracy,
            rate_text((double)self->epoch_samples / (now - self->epoch_began), rate),
            time_text(seconds_left(self, step, now), left));
    fflush(stderr);
    self->line_open = 1;
    base_log_set_open_line(1);
    self->shown = now;
}

void run_progress_end(run_progress *self)
{
    if (self->line_open)
        fputs("\r\033[K", stderr);
    base_log_set_open_line(0);
    self->line_open = 0;
}

void run_progress_epoch(run_progress *self, int64_t step, int64_t epoch, double loss, double accuracy, double test_loss,
                        double test_accuracy, double eval_seconds)
{
    double now = base_time_now();
    double seconds = now - self->epoch_began - eval_seconds;
    char rate[32], left[32], test[96] = "";
    if (self->active) {
        run_progress_end(self);
        if (isfinite(test_loss))
            snprintf(test, sizeof test, "  test loss %.4f acc %.2f %%", test_loss, 100.0 * test_accuracy);
        int width = snprintf(NULL, 0, "%" PRId64, self->epochs);
        char pace[96] = ""; /* none where a checkpoint had the whole epoch */
        if (self->epoch_samples > 0)
            snprintf(pace, sizeof pace, "  %s  %s left", rate_text((double)self->epoch_samples / seconds, rate),
                     time_text(seconds_left(self, step, now), left));
        BASE_INFO("epoch %*" PRId64 "/%" PRId64 "  loss %.4f acc %.2f %%%s%s", width, epoch, self->epochs, loss,
                  100.0 * accuracy, test, pace);
    }
    self->epoch_began = now;
    self->epoch_samples = 0;
}
