/* report_fixture.h: scaling experiments made up from closed forms, with their analyses filled by hand, so that the
 * report is tested without the fits. */
#ifndef REPORT_FIXTURE_H
#define REPORT_FIXTURE_H

#include "scaling.h"

enum { FIXTURE_REPEATS = 3, FIXTURE_STEPS = 20 };

/* T(n) = t1 ((1-p) + p/n), or, weak, T(n) = t1 / (1 - s + s/n) with s = 1-p; a thousandth up and down in turn. Points
 * at more than `cores` workers share cores (0: none does). */
typedef struct fixture {
    scaling_mode mode;
    int count;
    const int *workers; /* (count), ascending */
    double p, t1_s;
    int cores;
} fixture;

/* Both must be cleared. Every law holds, every list has its entries, and intervals are 2 % wide. */
void fixture_make(const fixture *from, scaling_sweep *sweep, scaling_analysis *analysis, scaling_options *options);

/* Nothing is known: every law is refused with a reason, every interval is NaN. */
void fixture_refuse(scaling_analysis *analysis);

/* A folder for one test, empty; removed with all in it. */
const char *fixture_folder_make(void);
void fixture_folder_remove(void);

/* The text of FOLDER/NAME, malloc'd; NULL if there is no such file. */
char *fixture_read(const char *name);
void fixture_write(const char *name, const char *text);

#endif
