#include "base_log.h"

#include "base_switch.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static int log_rank = 0;
static int log_size = 1;
static int log_level = -1;
static atomic_int open_line;

static const char *const level_prefix[] = {"error: ", "warning: ", "", "debug: "};

static int level_from_environment(void)
{
    int given = base_switch_index(BASE_SWITCH_LOG);
    return given >= 0 ? given : BASE_LOG_INFO;
}

void base_log_set_rank(int rank, int size)
{
    log_rank = rank;
    log_size = size;
}

void base_log_set_level(base_log_level level)
{
    log_level = (int)level;
}

void base_log_set_open_line(int open)
{
    atomic_store(&open_line, open);
}

void base_log_write(base_log_level level, int every_rank, const char *fmt, ...)
{
    if (log_level < 0)
        log_level = level_from_environment();
    if ((int)level > log_level || (!every_rank && log_rank != 0))
        return;

    /* One write a line, so that the lines of several ranks do not mix. */
    char line[2400], rank[16] = "";
    if (every_rank && log_size > 1)
        snprintf(rank, sizeof rank, "[%d] ", log_rank);
    const char *erase = atomic_exchange(&open_line, 0) ? "\r\033[K" : "";
    int used = snprintf(line, sizeof line, "%s%s%s", erase, rank, level_prefix[level]);
    va_list args;
    va_start(args, fmt);
    int text = vsnprintf(line + used, sizeof line - (size_t)used - 1, fmt, args);
    va_end(args);
    if (text < 0)
        return;
    used += text;
    if (used > (int)sizeof line - 2)
        used = (int)sizeof line - 2;
    line[used++] = '\n';
    for (int done = 0; done < used;) {
        ssize_t n = write(STDERR_FILENO, line + done, (size_t)(used - done));
        if (n <= 0)
            return;
        done += (int)n;
    }
}
