#include "view_cells.h"

#include "base_utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

base_status view_cells_create(int width, int height, int unicode, view_cells **self)
{
    size_t count = (size_t)width * (size_t)height;
    *self = calloc(1, sizeof **self);
    view_cell *cell = *self ? calloc(count ? count : 1, sizeof *cell) : NULL;
    if (!cell) {
        view_cells_destroy(self);
        return BASE_FAIL(BASE_ERROR, "not enough memory for a screen of %d x %d", width, height);
    }
    **self = (view_cells){.width = width, .height = height, .unicode = unicode, .cell = cell};
    view_cells_clear(*self);
    return BASE_OK;
}

void view_cells_destroy(view_cells **self)
{
    if (*self)
        free((*self)->cell);
    free(*self);
    *self = NULL;
}

void view_cells_clear(view_cells *self)
{
    for (int i = 0; i < self->width * self->height; i++)
        self->cell[i] = (view_cell){.glyph = ' ', .style = VIEW_PLAIN};
}

/* What the layout draws with, and what stands for it where there is ASCII alone. */
static uint32_t ascii(uint32_t glyph)
{
    static const struct {
        uint32_t glyph, ascii;
    } like[] = {{0x2588, '#'}, {0x2591, '.'}, {0x2502, '|'}, {0x2524, '|'}, {0x2500, '-'}, {0x2026, '.'},
                {0x00B7, '-'}, {0x2191, '^'}, {0x2193, 'v'}, {0x25CF, '*'}, {0x2013, '-'}};
    if (glyph < 0x80)
        return glyph;
    for (size_t i = 0; i < sizeof like / sizeof *like; i++)
        if (like[i].glyph == glyph)
            return like[i].ascii;
    return '?';
}

/* Columns of a character from a text: 0 for one that is to be left out. *glyph: what is shown. */
static int columns(const view_cells *self, uint32_t c, uint32_t *glyph)
{
    *glyph = c;
    if (c < 0x20 || (c >= 0x7F && c < 0xA0))
        *glyph = '?';
    else if (!self->unicode)
        *glyph = ascii(c);
    else if (c >= 0x300) {
        int width = wcwidth((wchar_t)c);
        if (width >= 0)
            return width;
        *glyph = '?';
    }
    return 1;
}

void view_cells_set(view_cells *self, int x, int y, view_style style, uint32_t glyph)
{
    if (x < 0 || y < 0 || x >= self->width || y >= self->height)
        return;
    self->cell[y * self->width + x] = (view_cell){.glyph = self->unicode ? glyph : ascii(glyph), .style = style};
}

static int text_columns(const view_cells *self, const char *text)
{
    int sum = 0;
    uint32_t glyph;
    for (uint32_t c; (c = base_utf8_next(&text)) != 0;)
        sum += columns(self, c, &glyph);
    return sum;
}

int view_cells_put(view_cells *self, int x, int y, int room, view_style style, const char *text)
{
    room = x + room > self->width ? self->width - x : room;
    int whole = text_columns(self, text) <= room, used = 0;
    uint32_t glyph;
    for (uint32_t c; used < room && (c = base_utf8_next(&text)) != 0;) {
        int width = columns(self, c, &glyph);
        if (!whole && used + width > room - 1) {
            view_cells_set(self, x + used++, y, style, 0x2026);
            break;
        }
        if (width > 0)
            view_cells_set(self, x + used, y, style, glyph);
        if (width > 1)
            view_cells_set(self, x + used + 1, y, style, 0);
        used += width;
    }
    return used;
}

int view_cells_printf(view_cells *self, int x, int y, int room, view_style style, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return view_cells_put(self, x, y, room, style, text);
}

int view_cells_put_right(view_cells *self, int right, int y, int room, view_style style, const char *text)
{
    int width = text_columns(self, text);
    width = width < room ? width : room;
    view_cells_put(self, right - width, y, width, style, text);
    return right - width;
}

/* How many bytes of `text` go on a line of `room` characters, and how many to skip to the next line. */
static size_t line_bytes(const char *text, int room, size_t *skip)
{
    const char *at = text, *space = NULL;
    for (int i = 0; i < room && *at; i++) {
        if (*at == ' ')
            space = at;
        base_utf8_next(&at);
    }
    if (*at == '\0' || *at == ' ' || !space) {
        *skip = *at == ' ';
        return (size_t)(at - text);
    }
    *skip = 1;
    return (size_t)(space - text);
}

int view_cells_wrap(view_cells *self, int x, int y, int room, int rows, view_style style, const char *text)
{
    enum { INDENT = 2 };
    int row = 0;
    while (*text && row < rows && room > INDENT) {
        char line[512];
        size_t skip, nbytes = line_bytes(text, row ? room - INDENT : room, &skip);
        if (row == rows - 1) /* the last one ends in an ellipsis, if need be */
            nbytes = strlen(text);
        snprintf(line, sizeof line, "%.*s", (int)nbytes, text);
        if (self)
            view_cells_put(self, row ? x + INDENT : x, y + row, row ? room - INDENT : room, style, line);
        text += nbytes + (text[nbytes] ? skip : 0);
        row++;
    }
    return row;
}

/* As UTF-8; returns the bytes. */
static size_t encode(uint32_t c, char bytes[4])
{
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    bytes[0] = (char)(lead[more] | c >> (6 * more));
    for (int i = 1; i <= more; i++)
        bytes[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3F));
    return (size_t)more + 1;
}

base_status view_cells_print(const view_cells *self, FILE *to)
{
    for (int y = 0; y < self->height; y++) {
        const view_cell *row = &self->cell[y * self->width];
        int end = self->width;
        while (end > 0 && row[end - 1].glyph == ' ')
            end--;
        for (int x = 0; x < end; x++) {
            char bytes[4];
            if (row[x].glyph)
                fwrite(bytes, 1, encode(row[x].glyph, bytes), to);
        }
        fputc('\n', to);
    }
    return fflush(to) != 0 || ferror(to) ? BASE_FAIL(BASE_ERROR, "cannot write to the output") : BASE_OK;
}
