/* base_failpoint.h: places at which a test can make the program die, fail or stand still.
 *
 * DDPT_FAILPOINT=NAME:POINT[:N[:ACTION]], several separated by commas, arms places: POINT is what the code calls it,
 * NAME the last part of the path that is worked on there ("manifest.pb:before-rename", "shard-0001.bin:chunk"). At the
 * N-th passage (default 1) the program gets SIGKILL (ACTION "kill", the default) or SIGSTOP ("stop"), the operation
 * fails as if the system had refused it with EIO ("fail", from the N-th passage on), or the thread sleeps ("pause=MS",
 * at every passage from the N-th on; MS may have a fraction). Unset, a passage costs one load. The phases of a training
 * step are places too: NAME is rank-R, POINT data, forward, backward or update, and so are evaluate (a batch) and
 * gather (where the ranks meet in a save), with pause, kill or stop, and data with fail: that rank alone gets no batch.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

/* 1: the operation shall fail, errno is EIO. */
int base_failpoint(const char *path, const char *point);

#endif
