/* base_log.h: what a person reads. Lines go to stderr, whole, with the rank where more than one may speak. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base_status.h"

typedef enum base_log_level { BASE_LOG_ERROR, BASE_LOG_WARN, BASE_LOG_INFO, BASE_LOG_DEBUG } base_log_level;

/* Root lines are printed by rank 0 alone; rank lines by every rank, prefixed "[rank] " when size > 1. */
#define BASE_WARN(...) base_log_write(BASE_LOG_WARN, 0, __VA_ARGS__)
#define BASE_INFO(...) base_log_write(BASE_LOG_INFO, 0, __VA_ARGS__)
#define BASE_DEBUG(...) base_log_write(BASE_LOG_DEBUG, 0, __VA_ARGS__)
#define BASE_RANK_ERROR(...) base_log_write(BASE_LOG_ERROR, 1, __VA_ARGS__)
#define BASE_RANK_WARN(...) base_log_write(BASE_LOG_WARN, 1, __VA_ARGS__)
#define BASE_RANK_DEBUG(...) base_log_write(BASE_LOG_DEBUG, 1, __VA_ARGS__)

/* Before this call the process counts as rank 0 of 1. */
void base_log_set_rank(int rank, int size);

/* Lines above `level` are dropped. The default is BASE_LOG_INFO; DDPT_LOG=error|warn|info|debug sets it at start. */
void base_log_set_level(base_log_level level);

/* A line without its end is on the terminal (a progress line): the next log line first takes it away. */
void base_log_set_open_line(int open);

void base_log_write(base_log_level level, int every_rank, const char *fmt, ...) BASE_PRINTF(3, 4);

#endif
