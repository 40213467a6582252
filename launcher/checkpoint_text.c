#include "checkpoint.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

base_status checkpoint_parse(int argc, char **argv, const struct option *known, int least, int most,
                             const char *operands, checkpoint_options *options, int *first)
{
    char name[32];
    snprintf(name, sizeof name, "ckpt %s", argv[0]);
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case CHECKPOINT_JSON: options->json = 1; break;
        case CHECKPOINT_CONFIG: options->config = 1; break;
        case CHECKPOINT_NO_VERIFY: options->no_verify = 1; break;
        case CHECKPOINT_HELP: options->help = 1; return BASE_OK;
        default: return command_bad_option(name, argv, optind);
        }
    }
    *first = optind;
    if (argc - optind < least)
        return BASE_FAIL(BASE_USAGE, "ddpt %s needs %s; see: ddpt help ckpt", name, operands);
    if (argc - optind > most)
        return BASE_FAIL(BASE_USAGE, "ddpt %s takes %s, '%s' is one too many; see: ddpt help ckpt", name, operands,
                         argv[optind + most]);
    return BASE_OK;
}

base_status checkpoint_open_newest(const char *path, base_arena *arena, ckpt_reader **reader)
{
    const ckpt_entry *entries;
    int count;
    BASE_TRY(ckpt_folder_list(path, arena, &entries, &count, NULL));
    return ckpt_reader_open(entries[count - 1].path, NULL, 0, reader);
}

uint64_t checkpoint_shard_bytes(const ckpt_manifest *manifest)
{
    uint64_t nbytes = 0;
    for (int i = 0; i < manifest->shard_count; i++)
        nbytes += manifest->shard_bytes[i];
    return nbytes;
}

const char *checkpoint_shape_text(const ckpt_tensor *tensor, base_arena *arena)
{
    const char *text = "";
    for (int i = 0; text && i < tensor->dim_count; i++)
        text = base_arena_format(arena, "%s%s%" PRIu64, text, i ? "x" : "", tensor->dims[i]);
    return text;
}

const char *checkpoint_age_text(int64_t saved_at, char text[CHECKPOINT_TEXT_BYTES])
{
    int64_t now = (int64_t)time(NULL), s = saved_at < now ? now - saved_at : 0; /* another host's clock may be ahead */
    if (s < 60)
        snprintf(text, CHECKPOINT_TEXT_BYTES, "%" PRId64 " s", s);
    else if (s < 60 * 60)
        snprintf(text, CHECKPOINT_TEXT_BYTES, "%" PRId64 " min", s / 60);
    else if (s < 48 * 60 * 60)
        snprintf(text, CHECKPOINT_TEXT_BYTES, "%" PRId64 " h", s / (60 * 60));
    else
        snprintf(text, CHECKPOINT_TEXT_BYTES, "%" PRId64 " days", s / (24 * 60 * 60));
    return text;
}

const char *checkpoint_bytes_text(uint64_t nbytes, char text[CHECKPOINT_TEXT_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    int unit = 0;
    double value = (double)nbytes;
    for (; value >= 999.5; unit++)
        value /= 1000.0;
    int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, CHECKPOINT_TEXT_BYTES, "%.*f %s", decimals, value, units[unit]);
    return text;
}

const char *checkpoint_number_text(double value, char text[CHECKPOINT_TEXT_BYTES])
{
    int is_float = (double)(float)value == value;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, CHECKPOINT_TEXT_BYTES, "%.*g", digits, value);
        if (is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    return text;
}

const char *checkpoint_loss_text(double loss, char text[CHECKPOINT_TEXT_BYTES])
{
    int plain = loss == 0.0 || (fabs(loss) >= 1e-3 && fabs(loss) < 1e5);
    snprintf(text, CHECKPOINT_TEXT_BYTES, plain ? "%.4f" : "%.3e", loss);
    return text;
}

const char *checkpoint_date_text(int64_t saved_at, char text[CHECKPOINT_TEXT_BYTES])
{
    struct tm utc;
    time_t seconds = (time_t)saved_at;
    if (!gmtime_r(&seconds, &utc) || strftime(text, CHECKPOINT_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(text, CHECKPOINT_TEXT_BYTES, "-");
    return text;
}

json_t *checkpoint_json_number(double value)
{
    char text[CHECKPOINT_TEXT_BYTES];
    return isfinite(value) ? json_real(strtod(checkpoint_number_text(value, text), NULL)) : json_null();
}
