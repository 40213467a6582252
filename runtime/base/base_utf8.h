/* base_utf8.h: texts that somebody else chose (names of files, hosts, runs) where UTF-8 is expected. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The next character of a UTF-8 text, 0 at its end. A byte that belongs to none is '?'. */
uint32_t base_utf8_next(const char **text);

/* A copy that is UTF-8 whatever `text` is; as much as fits, whole characters. Never longer than `text`. Returns `copy`.
 */
char *base_utf8_copy(const char *text, char *copy, size_t size);

#endif
