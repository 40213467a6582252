#include "view_metrics.h"

#include "base_utf8.h"
#include "view_alerts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum metric_type { GAUGE, COUNTER } metric_type;

/* ---- lines ---- */

static void begin(FILE *to, const char *name, metric_type type, const char *help)
{
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type == COUNTER ? "counter" : "gauge");
}

/* As UTF-8, with what ends a value escaped. */
static void label(FILE *to, char before, const char *name, const char *value)
{
    char copy[1536];
    fprintf(to, "%c%s=\"", before, name);
    for (const char *c = base_utf8_copy(value, copy, sizeof copy); *c; c++) {
        if (*c == '\\' || *c == '"')
            fputc('\\', to);
        fputs(*c == '\n' ? "\\n" : (char[]){*c, '\0'}, to);
    }
    fputc('"', to);
}

static void run_labels(FILE *to, const char *name, const coordinator_run_view *run)
{
    fputs(name, to);
    label(to, '{', "run", run->id);
    label(to, ',', "name", run->name);
}

static void number(FILE *to, double value)
{
    if (isfinite(value))
        fprintf(to, "%.15g\n", value);
    else
        fprintf(to, "%s\n", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
}

/* The end of a line that has labels. */
static void labelled(FILE *to, double value)
{
    fputs("} ", to);
    number(to, value);
}

/* ---- the coordinator ---- */

static void coordinator_metrics(FILE *to, const coordinator_view *view)
{
    const coordinator_counts *counts = &view->counts;
    const struct {
        const char *kind;
        uint64_t count;
    } kinds[] = {{"accepted", counts->accepted}, {"malformed", counts->malformed}, {"oversized", counts->oversized},
                 {"replayed", counts->replayed}, {"foreign", counts->foreign},     {"queries", counts->queries}};
    begin(to, "ddpt_coordinator_info", GAUGE, "The coordinator: always 1.");
    fputs("ddpt_coordinator_info", to);
    label(to, '{', "version", view->version);
    labelled(to, 1);
    begin(to, "ddpt_coordinator_uptime_seconds", GAUGE, "Time since the coordinator started.");
    fputs("ddpt_coordinator_uptime_seconds ", to);
    number(to, view->uptime_s);
    begin(to, "ddpt_coordinator_messages_total", COUNTER,
          "Messages that came: those it took, those it dropped by reason, and questions of viewers.");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        fprintf(to, "ddpt_coordinator_messages_total{kind=\"%s\"} %" PRIu64 "\n", kinds[i].kind, kinds[i].count);
    begin(to, "ddpt_coordinator_connections_refused_total", COUNTER, "Connections without the key.");
    fprintf(to, "ddpt_coordinator_connections_refused_total %" PRIu64 "\n", counts->refused);
    begin(to, "ddpt_coordinator_runs", GAUGE, "Runs that the coordinator knows, those that are over included.");
    fprintf(to, "ddpt_coordinator_runs %d\n", view->run_count);
}

/* ---- runs ---- */

/* A field of coordinator_run_view or coordinator_rank_view. */
typedef enum field_type { INT, INT64, UINT64, DOUBLE, MILLI } field_type; /* MILLI: a double in thousandths */

typedef struct metric {
    const char *name, *help;
    metric_type type;
    field_type field;
    size_t offset;
} metric;

static double get(const metric *self, const void *object)
{
    const void *field = (const char *)object + self->offset;
    switch (self->field) {
    case INT: return *(const int *)field;
    case INT64: return (double)*(const int64_t *)field;
    case UINT64: return (double)*(const uint64_t *)field;
    case MILLI: return 1e-3 * *(const double *)field;
    default: return *(const double *)field;
    }
}

#define RUN(type, member) type, offsetof(coordinator_run_view, member)
static const metric run_metrics[] = {
    {"ddpt_run_ranks", "Ranks of the run.", GAUGE, RUN(INT, size)},
    {"ddpt_run_ranks_heard", "Ranks that have spoken to the coordinator.", GAUGE, RUN(INT, rank_count)},
    {"ddpt_run_parameters", "Parameters of the model.", GAUGE, RUN(INT64, parameters)},
    {"ddpt_run_global_batch_samples", "Samples of a step, of all ranks.", GAUGE, RUN(INT64, global_batch)},
    {"ddpt_run_steps_total", "Steps done.", COUNTER, RUN(INT64, step)},
    {"ddpt_run_planned_steps", "Steps that the run will have when it is done.", GAUGE, RUN(INT64, total_steps)},
    {"ddpt_run_epoch", "Epoch under way, from 1.", GAUGE, RUN(INT64, epoch)},
    {"ddpt_run_planned_epochs", "Epochs that the run will have when it is done.", GAUGE, RUN(INT64, epochs)},
    {"ddpt_run_loss", "Training loss, mean over about the last second.", GAUGE, RUN(DOUBLE, loss)},
    {"ddpt_run_test_loss", "Loss on the test set when it was last evaluated.", GAUGE, RUN(DOUBLE, test_loss)},
    {"ddpt_run_test_accuracy_ratio", "Accuracy on the test set when it was last evaluated.", GAUGE,
     RUN(DOUBLE, test_accuracy)},
    {"ddpt_run_samples_per_second", "Samples trained on a second, of all ranks, over about the last second.", GAUGE,
     RUN(DOUBLE, samples_per_second)},
    {"ddpt_run_elapsed_seconds", "Time since the run began.", GAUGE, RUN(DOUBLE, elapsed_s)},
    {"ddpt_run_remaining_seconds", "Time until the run is done, as estimated.", GAUGE, RUN(DOUBLE, remaining_s)},
    {"ddpt_run_efficiency_ratio",
     "Parallel efficiency since the run began: share of the ranks' time that is computation.", GAUGE,
     RUN(DOUBLE, efficiency)},
};

static void state_metrics(FILE *to, const coordinator_view *view)
{
    begin(to, "ddpt_run_info", GAUGE, "A run: always 1.");
    for (int i = 0; i < view->run_count; i++) {
        run_labels(to, "ddpt_run_info", &view->runs[i]);
        label(to, ',', "host", view->runs[i].host);
        label(to, ',', "folder", view->runs[i].folder);
        labelled(to, 1);
    }
    begin(to, "ddpt_run_state", GAUGE, "1 for the state that the run is in, 0 for the others.");
    for (int i = 0; i < view->run_count; i++)
        for (int state = COORDINATOR_RUNNING; state <= COORDINATOR_SILENT; state++) {
            run_labels(to, "ddpt_run_state", &view->runs[i]);
            label(to, ',', "state", coordinator_run_state_name((coordinator_run_state)state));
            labelled(to, view->runs[i].state == (coordinator_run_state)state);
        }
}

static void straggler_metric(FILE *to, const coordinator_view *view, const char *name, const char *help, int cost)
{
    begin(to, name, GAUGE, help);
    for (int i = 0; i < view->run_count; i++)
        for (int k = 0; k < view->runs[i].straggler_count; k++) {
            const coordinator_straggler *straggler = &view->runs[i].stragglers[k];
            run_labels(to, name, &view->runs[i]);
            fprintf(to, ",rank=\"%d\",phase=\"%s\"", straggler->rank, base_phase_name(straggler->phase));
            labelled(to, cost ? straggler->cost : straggler->slower);
        }
}

static void run_part(FILE *to, const coordinator_view *view)
{
    state_metrics(to, view);
    for (size_t m = 0; m < sizeof run_metrics / sizeof *run_metrics; m++) {
        begin(to, run_metrics[m].name, run_metrics[m].type, run_metrics[m].help);
        for (int i = 0; i < view->run_count; i++) {
            run_labels(to, run_metrics[m].name, &view->runs[i]);
            labelled(to, get(&run_metrics[m], &view->runs[i]));
        }
    }
    straggler_metric(to, view, "ddpt_run_straggler_slower_ratio",
                     "How much longer than the median rank a straggler takes in its phase: 0.31 is 31 % longer.", 0);
    straggler_metric(to, view, "ddpt_run_straggler_cost_ratio",
                     "Share of the step that the others would save without this straggler.", 1);
}

/* ---- ranks ---- */

/* Which ranks are given: of run i the first `given[i]`. Returns how many are left out. */
static int share_ranks(const coordinator_view *view, int *given)
{
    int room = VIEW_METRICS_RANKS, omitted = 0;
    for (int over = 0; over <= 1; over++)
        for (int i = 0; i < view->run_count; i++) {
            const coordinator_run_view *run = &view->runs[i];
            if (view_run_is_over(run) != over)
                continue;
            given[i] = run->rank_count < room ? run->rank_count : room;
            room -= given[i];
            omitted += run->rank_count - given[i];
        }
    return omitted;
}

#define RANK(type, member) type, offsetof(coordinator_rank_view, member)
static const metric rank_metrics[] = {
    {"ddpt_rank_steps_total", "Steps that the rank has done.", COUNTER, RANK(INT64, step)},
    {"ddpt_rank_own_step_seconds",
     "A step without the phases in which the rank waits for others, mean over about a second.", GAUGE,
     RANK(MILLI, own_ms)},
    {"ddpt_rank_silent_seconds", "Time since the rank's last summary came.", GAUGE, RANK(DOUBLE, silent_s)},
    {"ddpt_rank_stuck_seconds", "Time since the rank last got anywhere.", GAUGE, RANK(DOUBLE, stuck_s)},
    {"ddpt_rank_lost_summaries_total", "Summaries of the rank that never came.", COUNTER, RANK(UINT64, lost_summaries)},
};

static void rank_labels(FILE *to, const char *name, const coordinator_run_view *run, const coordinator_rank_view *rank)
{
    run_labels(to, name, run);
    fprintf(to, ",rank=\"%d\"", rank->rank);
    label(to, ',', "host", rank->host);
}

static void phase_metrics(FILE *to, const coordinator_view *view, const int *given)
{
    static const char name[] = "ddpt_rank_phase_seconds_total";
    begin(to, name, COUNTER, "Time of the rank in each phase of its steps since the run began.");
    for (int i = 0; i < view->run_count; i++)
        for (int r = 0; r < given[i]; r++)
            for (int p = 0; p < BASE_PHASE_COUNT; p++) {
                rank_labels(to, name, &view->runs[i], &view->runs[i].ranks[r]);
                label(to, ',', "phase", base_phase_name((base_phase)p));
                labelled(to, view->runs[i].ranks[r].total_s[p]);
            }
}

static void rank_part(FILE *to, const coordinator_view *view, int *given)
{
    int omitted = share_ranks(view, given);
    begin(to, "ddpt_coordinator_ranks_omitted", GAUGE,
          "Ranks beyond the limit of this page: they have no ddpt_rank_* here.");
    fprintf(to, "ddpt_coordinator_ranks_omitted %d\n", omitted);
    for (size_t m = 0; m < sizeof rank_metrics / sizeof *rank_metrics; m++) {
        begin(to, rank_metrics[m].name, rank_metrics[m].type, rank_metrics[m].help);
        for (int i = 0; i < view->run_count; i++)
            for (int r = 0; r < given[i]; r++) {
                rank_labels(to, rank_metrics[m].name, &view->runs[i], &view->runs[i].ranks[r]);
                labelled(to, get(&rank_metrics[m], &view->runs[i].ranks[r]));
            }
    }
    phase_metrics(to, view, given);
}

base_status view_metrics(const coordinator_view *view, char **text, size_t *nbytes)
{
    *text = NULL;
    *nbytes = 0;
    int *given = calloc(view->run_count > 0 ? (size_t)view->run_count : 1, sizeof *given);
    FILE *to = given ? open_memstream(text, nbytes) : NULL;
    if (to) {
        coordinator_metrics(to, view);
        run_part(to, view);
        rank_part(to, view, given);
    }
    free(given);
    int failed = !to || ferror(to);
    if (to && fclose(to) != 0)
        failed = 1;
    if (!failed)
        return BASE_OK;
    free(*text);
    *text = NULL;
    return BASE_FAIL(BASE_ERROR, "not enough memory for the metrics of %d runs", view->run_count);
}
