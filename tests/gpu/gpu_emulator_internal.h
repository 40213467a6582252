/* gpu_emulator_internal.h: between the emulator's files. */
#ifndef GPU_EMULATOR_INTERNAL_H
#define GPU_EMULATOR_INTERNAL_H

#include "gpu_emulator.h"

#include <mutex>

/* Every call of the API holds it. */
extern std::recursive_mutex gpu_emulator_lock;
typedef std::lock_guard<std::recursive_mutex> gpu_emulator_guard;

/* Runs all work of all streams. */
void gpu_emulator_drain_all();
/* A call that would wait or allocate while the calling thread captures: true, and the capture is lost. */
bool gpu_emulator_refused();

/* Between these device memory may be touched; they nest. */
void gpu_emulator_open_memory();
void gpu_emulator_close_memory();
/* Neither device nor pinned memory. */
bool gpu_emulator_pageable(const void *at);

/* Runs all blocks; backwards: the last block and in it the last thread first. */
void gpu_emulator_run(const dim3 &blocks, const dim3 &threads, bool backwards, const std::function<void()> &kernel);

#endif
