#include "report_write.h"

#include "report_csv.h"
#include "report_gnuplot.h"
#include "report_html.h"
#include "report_plot.h"
#include "report_sweep.h"

#include "base_file.h"
#include "base_log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One report that is being written. */
typedef struct report {
    const char *folder;
    const scaling_sweep *sweep;
    const scaling_options *options;
    const scaling_analysis *analysis;
    report_html_parts parts;
} report;

static base_status path_in(const char *folder, const char *name, const char *ending, char path[PATH_MAX])
{
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s%s", folder, name, ending) >= PATH_MAX)
        return BASE_FAIL(BASE_ERROR, "the name of the folder %.60s... is too long", folder);
    return BASE_OK;
}

static base_status write_text(const report *self, const char *name, const char *ending, const char *text)
{
    char path[PATH_MAX];
    if (!text)
        return BASE_FAIL(BASE_ERROR, "out of memory for %s%s", name, ending);
    BASE_TRY(path_in(self->folder, name, ending, path));
    return base_file_write(path, text, strlen(text));
}

/* ---- pictures ---- */

static base_status draw(const report *self, report_plot plot, char **svg)
{
    char *script = NULL;
    size_t nbytes;
    FILE *to = open_memstream(&script, &nbytes);
    if (to)
        report_plot_script(to, plot, self->sweep, self->analysis);
    if (!to || fclose(to) != 0) {
        free(script);
        return BASE_FAIL(BASE_ERROR, "out of memory for a picture");
    }
    base_status status = report_gnuplot_run(script, svg);
    free(script);
    return status;
}

/* For the page. */
static void draw_pictures(report *self)
{
    base_status status = BASE_OK;
    for (int i = 0; i < REPORT_PLOT_COUNT && status == BASE_OK; i++)
        status = draw(self, (report_plot)i, &self->parts.svg[i]);
    if (status == BASE_OK)
        return;
    snprintf(self->parts.no_pictures, sizeof self->parts.no_pictures, "%s", base_status_message());
    base_status_clear();
    BASE_WARN("the report has no pictures: %s", self->parts.no_pictures);
}

/* A picture of another report must not pass for one of this. */
static void remove_picture(const report *self, report_plot plot)
{
    char path[PATH_MAX];
    if (path_in(self->folder, report_plot_name(plot), ".svg", path) != BASE_OK)
        base_status_clear();
    else if (unlink(path) != 0 && errno != ENOENT)
        BASE_WARN("%s is not of this report, and cannot be removed: %s", path, strerror(errno));
}

/* Beside the page, which holds them: a report can do without. */
static void write_pictures(const report *self)
{
    int drawn = !*self->parts.no_pictures;
    for (int i = 0; i < REPORT_PLOT_COUNT; i++) {
        const char *name = report_plot_name((report_plot)i);
        if (drawn && write_text(self, name, ".svg", self->parts.svg[i]) == BASE_OK)
            continue;
        if (drawn)
            BASE_WARN("no picture %s.svg: %s", name, base_status_message());
        base_status_clear();
        remove_picture(self, (report_plot)i);
    }
}

/* ---- the files ---- */

static base_status write_json(report *self)
{
    char *text = report_sweep_text(self->sweep, self->options, self->analysis);
    base_status status = text ? write_text(self, "scaling", ".json", text) : BASE_ERROR;
    free(text);
    return status;
}

static base_status write_csv(report *self)
{
    size_t nbytes;
    FILE *to = open_memstream(&self->parts.csv, &nbytes);
    if (to)
        report_csv_print(to, self->sweep, self->analysis);
    if (!to || fclose(to) != 0)
        return BASE_FAIL(BASE_ERROR, "out of memory for scaling.csv");
    return write_text(self, "scaling", ".csv", self->parts.csv);
}

static base_status write_html(report *self)
{
    char *text = NULL;
    size_t nbytes;
    FILE *to = open_memstream(&text, &nbytes);
    if (!to)
        return BASE_FAIL(BASE_ERROR, "out of memory for report.html");
    base_status status = report_html_print(to, self->sweep, self->analysis, &self->parts);
    if (fclose(to) != 0 && status == BASE_OK)
        status = BASE_FAIL(BASE_ERROR, "out of memory for report.html");
    if (status == BASE_OK)
        status = write_text(self, "report", ".html", text);
    free(text);
    return status;
}

base_status report_write(const char *folder, const scaling_sweep *sweep, const scaling_options *options,
                         const scaling_analysis *analysis)
{
    report self = {.folder = folder, .sweep = sweep, .options = options, .analysis = analysis};
    BASE_TRY(base_file_make_folder(folder));
    base_status status = write_json(&self);
    if (status == BASE_OK)
        status = write_csv(&self);
    if (status == BASE_OK) {
        draw_pictures(&self);
        status = write_html(&self);
    }
    if (status == BASE_OK)
        write_pictures(&self);
    free(self.parts.csv);
    for (int i = 0; i < REPORT_PLOT_COUNT; i++)
        free(self.parts.svg[i]);
    return status;
}
