/* train_record RUN.JSON STEPS.CSV: checks that a run's record is complete (schema ddpt.run.v1), of the right types,
 * consistent with itself and with steps.csv. Prints what is wrong; status 1 then. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrongs;

static void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void wrong(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    wrongs++;
}

/* s string, i integer, n number, o object, a array; upper case: or null. */
typedef struct field {
    const char *path;
    char type;
} field;

static const field fields[] = {
    {"schema", 's'},
    {"config", 'o'},
    {"config.data.format", 's'},
    {"config.model.layers", 'a'},
    {"config.train.batch", 'i'},
    {"config.train.optimizer.lr", 'n'},
    {"config_digest", 's'},
    {"world_size", 'i'},
    {"hosts", 'a'},
    {"device", 's'},
    {"threads_per_rank", 'i'},
    {"precision", 's'},
    {"sync", 's'},
    {"log_every", 'i'},
    {"model.parameters", 'i'},
    {"model.flops_forward_per_sample", 'i'},
    {"model.flops_train_per_sample", 'i'},
    {"checkpoint.resumed_from_step", 'I'},
    {"checkpoint.last_step", 'I'},
    {"checkpoint.saves", 'i'},
    {"checkpoint.failures", 'i'},
    {"checkpoint.stall_ms", 'N'},
    {"checkpoint.write_ms", 'N'},
    {"result.status", 's'},
    {"result.reason", 'S'},
    {"result.epochs", 'i'},
    {"result.steps", 'i'},
    {"result.train_loss", 'N'},
    {"result.test_loss", 'N'},
    {"result.test_accuracy", 'N'},
    {"result.param_digest", 'S'},
    {"performance.samples_per_second", 'n'},
    {"performance.step_ms.min", 'n'},
    {"performance.step_ms.p50", 'N'},
    {"performance.step_ms.p90", 'N'},
    {"performance.step_ms.blocks", 'I'},
    {"performance.step_ms.mean", 'n'},
    {"performance.phases_ms.data", 'n'},
    {"performance.phases_ms.forward", 'n'},
    {"performance.phases_ms.backward", 'n'},
    {"performance.phases_ms.reduce", 'n'},
    {"performance.phases_ms.update", 'n'},
    {"performance.phases_ms.other", 'n'},
    {"performance.gflops", 'n'},
    {"performance.mfu", 'N'},
    {"performance.peak_gflops", 'N'},
    {"performance.peak_how", 's'},
    {"performance.startup_s", 'n'},
    {"environment.ddpt", 's'},
    {"environment.mpi", 's'},
    {"environment.blas", 's'},
    {"environment.switches", 'o'},
    {"environment.compiler", 's'},
    {"environment.cpu", 's'},
    {"environment.cores", 'i'},
    {"environment.gpu", 'S'},
    {"environment.hosts", 'a'},
    {"environment.command", 's'},
    {"environment.date", 's'},
};

static json_t *find(json_t *at, const char *path)
{
    char name[64];
    while (at && *path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        at = json_object_get(at, name);
        path += n + (path[n] == '.');
    }
    return at;
}

static double number(json_t *root, const char *path)
{
    json_t *value = find(root, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text(json_t *root, const char *path)
{
    const char *value = json_string_value(find(root, path));
    return value ? value : "";
}

static int has_type(const json_t *value, char type)
{
    switch (type) {
    case 's': return json_is_string(value) && json_string_length(value) > 0;
    case 'i': return json_is_integer(value);
    case 'n': return json_is_number(value);
    case 'o': return json_is_object(value);
    case 'a': return json_is_array(value) && json_array_size(value) > 0;
    case 'S': return json_is_null(value) || has_type(value, 's');
    case 'I': return json_is_null(value) || has_type(value, 'i');
    case 'N': return json_is_null(value) || has_type(value, 'n');
    default: return 0;
    }
}

static int is_digest(const char *digest)
{
    return strlen(digest) == 16 && strspn(digest, "0123456789abcdef") == 16;
}

static int is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return 1;
    return 0;
}

static void check_record(json_t *root)
{
    static const char *const statuses[] = {"running", "done", "stopped", "diverged", "failed", NULL};
    static const char *const phases[] = {"data", "forward", "backward", "reduce", "update", "other", NULL};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *value = find(root, fields[i].path);
        if (!value || !has_type(value, fields[i].type))
            wrong("%s is %s", fields[i].path, value ? "of the wrong type" : "missing");
    }
    if (strcmp(text(root, "schema"), "ddpt.run.v1") != 0)
        wrong("schema is %s", text(root, "schema"));
    if (!is_one_of(text(root, "result.status"), statuses))
        wrong("result.status is %s", text(root, "result.status"));
    if (!is_digest(text(root, "config_digest")))
        wrong("config_digest is %s", text(root, "config_digest"));
    int done = strcmp(text(root, "result.status"), "done") == 0;
    int ends_early = !done && strcmp(text(root, "result.status"), "running") != 0;
    if (ends_early != (*text(root, "result.reason") != '\0'))
        wrong("result.reason is \"%s\" of a run that is %s", text(root, "result.reason"), text(root, "result.status"));
    if (done && !is_digest(text(root, "result.param_digest")))
        wrong("result.param_digest is %s", text(root, "result.param_digest"));
    double accuracy = number(root, "result.test_accuracy");
    if (done && !(accuracy >= 0 && accuracy <= 1 && isfinite(number(root, "result.test_loss"))))
        wrong("a run that is done has no test results");

    double sum = 0, mean = number(root, "performance.step_ms.mean"),
           rate = number(root, "performance.samples_per_second");
    char path[64];
    for (int i = 0; phases[i]; i++) {
        snprintf(path, sizeof path, "performance.phases_ms.%s", phases[i]);
        sum += number(root, path);
    }
    if (fabs(sum - mean) > 0.05 * mean)
        wrong("phases add up to %g ms, the mean step is %g ms", sum, mean);
    double least = number(root, "performance.step_ms.min"), half = number(root, "performance.step_ms.p50");
    int few = number(root, "performance.step_ms.blocks") < 10;
    if (few != isnan(half) || few != isnan(number(root, "performance.step_ms.p90")))
        wrong("performance.step_ms: percentiles of less than 10 blocks, or none of more");
    if (!(least <= mean) || (!few && !(least <= half && half <= number(root, "performance.step_ms.p90"))))
        wrong("performance.step_ms is out of order");
    double batch = number(root, "config.train.batch");
    if (rate * mean > 1e3 * batch * 1.001)
        wrong("%g samples/s are more than %g a step of %g ms", rate, batch, mean);
    double gflops = rate * number(root, "model.flops_train_per_sample") * 1e-9;
    if (fabs(number(root, "performance.gflops") - gflops) > 1e-6 * gflops)
        wrong("performance.gflops is %g, not %g", number(root, "performance.gflops"), gflops);
}

static void check_csv(json_t *root, FILE *csv)
{
    enum { COLUMNS = 11 };
    long long given = (long long)number(root, "config.train.log_every"), every = (long long)number(root, "log_every"),
              steps = (long long)number(root, "result.steps");
    const char *device = json_string_value(json_object_get(root, "device"));
    int on_cpu = device && strcmp(device, "cpu") == 0;
    /* Lines of a run that was resumed may be a GPU's. */
    int regular = given > 0 || (on_cpu && json_is_null(find(root, "checkpoint.resumed_from_step")));
    long long lines = 0;
    double last = 0.0;
    if (every != (given > 0 ? given : on_cpu ? 1 : every))
        wrong("log_every is %lld where %lld was asked for", every, given);
    char line[1024];
    if (!fgets(line, sizeof line, csv) ||
        strcmp(line, "step,epoch,loss,lr,samples_per_second,data_ms,forward_ms,backward_ms,"
                     "reduce_ms,update_ms,other_ms\n") != 0)
        wrong("steps.csv begins with %s", line);
    while (fgets(line, sizeof line, csv)) {
        int columns = 0;
        double value[COLUMNS] = {0};
        lines++;
        for (char *at = line, *end = line; *end != '\n' && columns < COLUMNS; at = end + 1, columns++) {
            value[columns] = strtod(at, &end);
            if (end == at || (*end != ',' && *end != '\n') || !isfinite(value[columns]))
                break;
        }
        if (columns != COLUMNS || !strchr(line, '\n'))
            wrong("line %lld of steps.csv is not %d numbers: %s", lines + 1, COLUMNS, line);
        if (regular ? value[0] != (double)(lines * every) : !(value[0] > last))
            wrong("line %lld of steps.csv is step %g, not %lld", lines + 1, value[0], lines * every);
        last = value[0];
        if (value[1] < 1 || value[4] <= 0)
            wrong("line %lld of steps.csv: epoch %g, %g samples/s", lines + 1, value[1], value[4]);
    }
    if (regular ? lines != steps / every : last != (double)steps)
        wrong("steps.csv has %lld lines for %lld steps, one every %lld", lines, steps, every);
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *root = argc == 3 ? json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!root) {
        printf("%s\n", argc == 3 ? error.text : "usage: train_record RUN.JSON STEPS.CSV");
        return 2;
    }
    FILE *csv = fopen(argv[2], "r");
    check_record(root);
    if (csv)
        check_csv(root, csv);
    else
        wrong("there is no %s", argv[2]);
    if (csv)
        fclose(csv);
    json_decref(root);
    return wrongs > 0;
}
