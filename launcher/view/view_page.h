/* view_page.h: the page, view_page.html, as it was compiled in. */
#ifndef VIEW_PAGE_H
#define VIEW_PAGE_H

#include <stddef.h>

extern const unsigned char view_page[];
extern const size_t view_page_size;

/* What stands in it for the number that a response invents (view_http.c): scripts and styles that do not name it are
 * not taken by the browser. */
#define VIEW_PAGE_NONCE "00000000000000000000000000000000"

#endif
