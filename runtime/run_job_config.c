#include "run_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

base_status run_job_compare(comm_world *world, const char *text, int *differs)
{
    enum { TEXT_BYTES = 32 };
    int size = comm_world_get_info(world)->size;
    char mine[TEXT_BYTES] = "";
    snprintf(mine, sizeof mine, "%s", text);
    char *all = calloc((size_t)size, TEXT_BYTES);
    BASE_TRY(comm_world_agree(world, all ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for %d ranks", size)));
    base_status status = comm_world_all_gather(world, mine, sizeof mine, all);
    *differs = 0;
    for (int r = 1; r < size && *differs == 0; r++)
        if (memcmp(all, all + (size_t)r * TEXT_BYTES, TEXT_BYTES) != 0)
            *differs = r;
    free(all);
    return status;
}

static base_status read_file(const char *path, char **text, int64_t *length)
{
    enum { CONFIG_BYTES_MAX = 4 * 1024 * 1024 };
    FILE *f = fopen(path, "re");
    if (!f)
        return BASE_FAIL_ERRNO(BASE_USAGE, errno, "cannot read the config %s", path);
    *text = malloc(CONFIG_BYTES_MAX + 1);
    size_t n = *text ? fread(*text, 1, CONFIG_BYTES_MAX + 1, f) : 0;
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    if (!*text)
        return BASE_FAIL(BASE_ERROR, "out of memory for the config %s", path);
    if (failed)
        return BASE_FAIL_ERRNO(BASE_USAGE, failed, "cannot read the config %s", path);
    if (n > CONFIG_BYTES_MAX || memchr(*text, '\0', n))
        return BASE_FAIL(BASE_USAGE, "%s is not a config: it is %s", path,
                         n > CONFIG_BYTES_MAX ? "larger than 4 MiB" : "not text");
    (*text)[n] = '\0';
    *length = (int64_t)n;
    return BASE_OK;
}

static base_status share_text(comm_world *world, const char *path, char **text)
{
    int rank = comm_world_get_info(world)->rank;
    int64_t length = 0;
    BASE_TRY(comm_world_agree(world, rank == 0 ? read_file(path, text, &length) : BASE_OK));
    BASE_TRY(comm_world_bcast(world, &length, sizeof length, 0));
    if (rank != 0)
        *text = calloc((size_t)length + 1, 1);
    BASE_TRY(comm_world_agree(world, *text ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the config %s", path)));
    return comm_world_bcast(world, *text, (size_t)length, 0);
}

/* mpirun can give each rank other arguments. */
static base_status compare_configs(comm_world *world, const run_config *config)
{
    char digest[17];
    int differs;
    char *echo = json_dumps(config->echo, JSON_COMPACT | JSON_SORT_KEYS);
    BASE_TRY(comm_world_agree(world, echo ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the config")));
    snprintf(digest, sizeof digest, "%016" PRIx64, (uint64_t)XXH64(echo, strlen(echo), 0));
    free(echo);
    BASE_TRY(run_job_compare(world, digest, &differs));
    if (differs)
        return BASE_FAIL(BASE_USAGE,
                         "rank %d was given another configuration than rank 0: give all ranks the same arguments",
                         differs);
    return BASE_OK;
}

base_status run_job_read_config(comm_world *world, const char *path, int set_count, const char *const *sets,
                                run_config **config)
{
    char *text = NULL;
    base_status status = share_text(world, path, &text);
    if (status == BASE_OK)
        status = comm_world_agree(world, run_config_parse(path, text, set_count, sets, config));
    if (status == BASE_OK)
        status = compare_configs(world, *config);
    free(text);
    return status;
}
