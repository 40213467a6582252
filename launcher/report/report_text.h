/* report_text.h: the verdict on a scaling experiment as text for a terminal, at most 100 columns wide. Local.
 *
 *     On 8 workers a step is 5.9 times as fast as on one, 74 % of the ideal. Up to 9 workers (8 to 9) are worth it: ...
 *
 *     workers   step ms   95 % interval   ...
 */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "scaling.h"

#include <stdio.h>

void report_text_print(FILE *to, const scaling_sweep *sweep, const scaling_analysis *analysis);

#endif
