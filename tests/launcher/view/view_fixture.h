/* view_fixture.h: what a coordinator might know, made by hand: the same on every call and machine. */
#ifndef VIEW_FIXTURE_H
#define VIEW_FIXTURE_H

#include "base_status.h"
#include "coordinator_view.h"

/* *view is cleared first. `name` is one of
 *
 *     solo, eight, sixtyfour, many   a run of 1, 8, 64, 512 ranks in mid-flight; from eight on rank 5 straggles
 *     done, diverged, failed         a run of 8 that is over
 *     trouble                        one of 8 with silent and stuck ranks
 *     waiting                        one whose ranks have not spoken, nothing of it known
 *     hostile                        one whose names are made to break out of a terminal, a page, a metric
 *     several                        three: eight, hostile, done
 *     none                           no run
 *
 * `seconds` is added to what it has behind it. BASE_USAGE for another name. */
base_status view_fixture_fill(const char *name, double seconds, coordinator_view *view);

/* The texts of `hostile`. */
#define VIEW_FIXTURE_NAME "<script>document.title='owned'</script>\x1b[2J\"\\\n\xff"
#define VIEW_FIXTURE_HOST "<img src=x onerror=alert(1)>"

#endif
