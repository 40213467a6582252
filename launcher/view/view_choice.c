#include "view_choice.h"

#include "view_alerts.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The last part of a path: hosts may have a file system mounted at different places. */
static const char *last_part(const char *path, int *length)
{
    int end = (int)strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    int from = end;
    while (from > 0 && path[from - 1] != '/')
        from--;
    *length = end - from;
    return path + from;
}

static int same_folder(const char *a, const char *b)
{
    int a_length, b_length;
    const char *a_name = last_part(a, &a_length), *b_name = last_part(b, &b_length);
    return a_length > 0 && a_length == b_length && strncmp(a_name, b_name, (size_t)a_length) == 0;
}

int view_choice_find(const coordinator_view *view, const char *id, const char *folder)
{
    for (int i = 0; i < view->run_count; i++)
        if (*id && strcmp(view->runs[i].id, id) == 0)
            return i;
    for (int i = 0; folder && i < view->run_count; i++)
        if (same_folder(view->runs[i].folder, folder))
            return i;
    for (int i = 0; i < view->run_count; i++)
        if (!view_run_is_over(&view->runs[i]))
            return i;
    return view->run_count > 0 ? 0 : -1;
}

/* What the run had come to; fields that a record lacks stay as they were last seen. */
static void take_result(coordinator_run_view *run, json_t *result)
{
    json_t *steps = json_object_get(result, "steps"), *test_loss = json_object_get(result, "test_loss");
    json_t *accuracy = json_object_get(result, "test_accuracy");
    if (json_is_integer(steps) && json_integer_value(steps) >= run->step)
        run->step = json_integer_value(steps);
    if (json_is_number(test_loss))
        run->test_loss = json_number_value(test_loss);
    if (json_is_number(accuracy))
        run->test_accuracy = json_number_value(accuracy);
    run->remaining_s = 0.0;
    run->straggler_count = 0;
}

int view_choice_read_end(coordinator_run_view *run, const char *folder, time_t since)
{
    char path[1200];
    struct stat file;
    json_error_t error;
    snprintf(path, sizeof path, "%s/run.json", folder ? folder : run->folder);
    if (view_run_is_over(run) || stat(path, &file) != 0 || file.st_mtime < since)
        return 0;
    json_t *record = json_load_file(path, 0, &error), *result = json_object_get(record, "result");
    const char *status = json_string_value(json_object_get(result, "status"));
    int found = 0;
    for (int state = COORDINATOR_DONE; status && state <= COORDINATOR_FAILED; state++)
        if (strcmp(status, coordinator_run_state_name((coordinator_run_state)state)) == 0) {
            run->state = (coordinator_run_state)state;
            take_result(run, result);
            found = 1;
        }
    json_decref(record);
    return found;
}
