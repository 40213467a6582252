/* report_text.h: the verdict on a scaling experiment as text for a terminal, at most 100 columns wide. Local.
 *
 *     On 8 workers a step is 5.9 times as fast as on one. More than 16 are hardly worth it: ...
 *
 *     workers   step ms   95 % interval   ...
 */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "scaling.h"

#include <stdio.h>

void report_text_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis);

#endif
