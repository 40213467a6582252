/* view_text.h: numbers as people read them. */
#ifndef VIEW_TEXT_H
#define VIEW_TEXT_H

#include "base_time.h"

#include <stdint.h>

enum { VIEW_TEXT = 64 };

/* Each fills and returns `text`. What is not known (NaN, a negative count) is "-". */
const char *view_text_duration(double seconds, char text[VIEW_TEXT]); /* "0:12:34", "2 d 03:04:05" */
const char *view_text_count(int64_t count, char text[VIEW_TEXT]);     /* "118,230" */
const char *view_text_short(double number, char text[VIEW_TEXT]);     /* "1.24 M" */
const char *view_text_rate(double number, char text[VIEW_TEXT]);      /* "118,230", "12.4" */
const char *view_text_loss(double loss, char text[VIEW_TEXT]);        /* "0.0731", "3.100e-05" */
const char *view_text_percent(double ratio, char text[VIEW_TEXT]);    /* 0.8713: "87.1 %" */
const char *view_text_ms(double ms, char text[VIEW_TEXT]);            /* "12.3 ms", "1.24 s" */

/* The letter that stands for a phase where there is no room for its name, or no colour. All differ. */
char view_text_phase_letter(base_phase phase);

#endif
