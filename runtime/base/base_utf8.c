#include "base_utf8.h"

#include <string.h>

/* The table of well-formed sequences of the Unicode standard (3-7): no overlong forms, no surrogates. */
uint32_t base_utf8_next(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    if (!*s)
        return 0;
    int length = *s < 0x80                 ? 1
                 : *s >= 0xC2 && *s < 0xE0 ? 2
                 : *s >= 0xE0 && *s < 0xF0 ? 3
                 : *s >= 0xF0 && *s < 0xF5 ? 4
                                           : 0;
    uint32_t c = length > 1 ? *s & (0x7Fu >> length) : *s;
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            length = 0; /* the end of the text among them */
        else
            c = c << 6 | (s[i] & 0x3Fu);
    }
    if (length == 0 || (length == 3 && c < 0x800) || (length == 4 && (c < 0x10000 || c > 0x10FFFF)) ||
        (c >= 0xD800 && c < 0xE000)) {
        *text += 1;
        return '?';
    }
    *text += length;
    return c;
}

char *base_utf8_copy(const char *text, char *copy, size_t size)
{
    size_t used = 0;
    for (const char *at = text; *at;) {
        const char *from = at;
        uint32_t c = base_utf8_next(&at);
        size_t nbytes = (size_t)(at - from);
        if (used + nbytes >= size)
            break;
        if (nbytes == 1)
            copy[used] = (char)c;
        else
            memcpy(copy + used, from, nbytes);
        used += nbytes;
    }
    copy[used] = '\0';
    return copy;
}
