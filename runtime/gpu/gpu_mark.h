/* gpu_mark.h: the phases of a run as ranges on a profiler's timeline, by NVTX, which is headers alone. Without a
 * profiler it costs some nanoseconds. */
#ifndef GPU_MARK_H
#define GPU_MARK_H

#if !defined(DDPT_GPU_HIP) && !defined(DDPT_GPU_EMULATED) && __has_include(<nvtx3/nvToolsExt.h>)
#define GPU_MARK gpu_mark
#else
#define GPU_MARK NULL /* the toolkit has no NVTX */
#endif

/* Ends the range before and begins one called `name`. One thread calls. */
void gpu_mark(const char *name);

#endif
