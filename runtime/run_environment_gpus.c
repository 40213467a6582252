#include "run_environment_gpus.h"

#include <string.h>

/* How many ranks from `first` on lie on one host and have GPUs of one name. */
static int block_length(const run_environment_gpu *all, int size, int first)
{
    int end = first + 1;
    while (end < size && strcmp(all[end].host, all[first].host) == 0 && strcmp(all[end].name, all[first].name) == 0)
        end++;
    return end - first;
}

/* Do the blocks of `count` ranks at `a` and `b` differ in nothing but the host? */
static int same_gpus(const run_environment_gpu *all, int a, int b, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(all[a + i].name, all[b + i].name) != 0 || strcmp(all[a + i].bus, all[b + i].bus) != 0)
            return 0;
    return 1;
}

static json_t *entry_json(const run_environment_gpu *all, int first, int count, int hosts)
{
    json_t *names = json_array(), *bus = json_array();
    for (int h = 0; h < hosts; h++)
        json_array_append_new(names, json_string(all[first + h * count].host));
    for (int i = 0; i < count; i++)
        json_array_append_new(bus, json_string(all[first + i].bus));
    return json_pack("{s:[i,i], s:o, s:s, s:o}", "ranks", first, first + hosts * count - 1, "hosts", names, "name",
                     all[first].name, "bus", bus);
}

json_t *run_environment_gpus_json(const run_environment_gpu *all, int size)
{
    json_t *entries = json_array();
    for (int first = 0, next; first < size; first = next) {
        int count = block_length(all, size, first), hosts = 1;
        next = first + count;
        while (next < size && block_length(all, size, next) == count && same_gpus(all, first, next, count)) {
            next += count;
            hosts++;
        }
        json_array_append_new(entries, entry_json(all, first, count, hosts));
    }
    return entries;
}
