/* gpu_emulator_memory.cpp: the device, its memory, which is closed to the host, and pinned memory. */
#include "gpu_emulator_internal.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sys/mman.h>

namespace
{

struct memory {
    size_t nbytes, mapped;
};

const size_t PAGE = 4096, TOTAL = (size_t)8 << 30;

std::map<char *, memory> device_memory, pinned_memory;
int open_count;

void protect_all(int how)
{
    for (auto &m : device_memory)
        mprotect(m.first, m.second.mapped, how);
}

bool lies_in(const std::map<char *, memory> &memories, const void *at)
{
    auto next = memories.upper_bound((char *)at);
    if (next == memories.begin())
        return false;
    --next;
    return (const char *)at < next->first + next->second.nbytes;
}

} // namespace

bool gpu_emulator_pageable(const void *at)
{
    return !lies_in(device_memory, at) && !lies_in(pinned_memory, at);
}

/* A number that is no address has no memory there, once it is beyond AddressSanitizer's shadow, in which two small
 * numbers side by side would lie. An address behind all of a tensor's elements is the tensor's. */
void gpu_emulator_check(const void *argument, size_t nbytes)
{
    const uintptr_t least = (uintptr_t)1 << 45;
    gpu_emulator_guard hold(gpu_emulator_lock);
    for (size_t i = 0; i + sizeof(uintptr_t) <= nbytes; i += sizeof(uintptr_t)) {
        uintptr_t word;
        unsigned char resident;
        memcpy(&word, (const char *)argument + i, sizeof word);
        if (word < least || !gpu_emulator_pageable((const char *)word) ||
            !gpu_emulator_pageable((const char *)word - 1) || mincore((void *)(word / PAGE * PAGE), 1, &resident) != 0)
            continue;
        fprintf(stderr, "gpu emulator: a kernel is given an address of pageable memory, %p\n", (void *)word);
        abort();
    }
}

void gpu_emulator_open_memory()
{
    if (open_count++ == 0)
        protect_all(PROT_READ | PROT_WRITE);
}

void gpu_emulator_close_memory()
{
    if (--open_count == 0)
        protect_all(PROT_NONE);
}

const char *gpuGetErrorString(gpuError_t error)
{
    switch (error) {
    case gpuSuccess: return "no error";
    case gpuErrorInvalidValue: return "invalid argument";
    case gpuErrorMemoryAllocation: return "out of memory";
    case gpuErrorInvalidConfiguration: return "invalid configuration argument";
    case gpuErrorInvalidDevice: return "invalid device ordinal";
    case gpuErrorNotReady: return "device not ready";
    case gpuErrorIllegalAddress: return "an illegal memory access was encountered";
    case gpuErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case gpuErrorStreamCaptureUnjoined: return "capturing stream has unjoined work";
    }
    return "unknown error";
}

gpuError_t gpuGetLastError(void)
{
    return gpuSuccess;
}

gpuError_t gpuGetDeviceCount(int *count)
{
    *count = 1;
    return gpuSuccess;
}

gpuError_t gpuSetDevice(int device)
{
    return device == 0 ? gpuSuccess : gpuErrorInvalidDevice;
}

gpuError_t gpuGetDeviceProperties(gpuDeviceProp_t *properties, int device)
{
    *properties = gpuDeviceProp_t{"emulated GPU", TOTAL, 1, 8, 0};
    return gpuSetDevice(device);
}

gpuError_t gpuDeviceGetPCIBusId(char *text, int size, int device)
{
    snprintf(text, (size_t)size, "0000:00:00.0");
    return gpuSetDevice(device);
}

gpuError_t gpuDeviceCanAccessPeer(int *can, int, int)
{
    *can = 0;
    return gpuSuccess;
}

gpuError_t gpuDriverGetVersion(int *version)
{
    *version = 12040;
    return gpuSuccess;
}

gpuError_t gpuRuntimeGetVersion(int *version)
{
    return gpuDriverGetVersion(version);
}

gpuError_t gpuMemGetInfo(size_t *available, size_t *total)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    size_t used = 0;
    for (auto &m : device_memory)
        used += m.second.nbytes;
    *total = TOTAL;
    *available = TOTAL - used;
    return gpuSuccess;
}

/* A page that nobody may touch lies behind. */
gpuError_t gpuMallocBytes(void **result, size_t nbytes)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    size_t available, total, mapped = (nbytes + PAGE - 1) / PAGE * PAGE;
    *result = nullptr;
    if (gpu_emulator_refused())
        return gpuErrorStreamCaptureUnsupported;
    gpuMemGetInfo(&available, &total);
    if (nbytes == 0)
        return gpuSuccess;
    void *at = nbytes > available
                   ? MAP_FAILED
                   : mmap(nullptr, mapped + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return gpuErrorMemoryAllocation;
    memset(at, 0xff, nbytes);
    mprotect(at, mapped + PAGE, PROT_NONE);
    device_memory[(char *)at] = memory{nbytes, mapped};
    *result = at;
    return gpuSuccess;
}

gpuError_t gpuFree(void *at)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (!at)
        return gpuSuccess;
    auto found = device_memory.find((char *)at);
    if (found == device_memory.end())
        return gpuErrorInvalidValue;
    if (gpu_emulator_refused())
        return gpuErrorStreamCaptureUnsupported;
    gpu_emulator_drain_all();
    munmap(at, found->second.mapped + PAGE);
    device_memory.erase(found);
    return gpuSuccess;
}

gpuError_t gpuMallocHostBytes(void **result, size_t nbytes)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    *result = gpu_emulator_refused() ? nullptr : aligned_alloc(PAGE, (nbytes + PAGE) / PAGE * PAGE);
    if (!*result)
        return gpuErrorMemoryAllocation;
    pinned_memory[(char *)*result] = memory{nbytes, 0};
    return gpuSuccess;
}

gpuError_t gpuFreeHost(void *at)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (!at)
        return gpuSuccess;
    if (pinned_memory.erase((char *)at) == 0)
        return gpuErrorInvalidValue;
    gpu_emulator_drain_all();
    free(at);
    return gpuSuccess;
}

gpuError_t gpuHostRegister(void *at, size_t nbytes, unsigned)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (!at || nbytes == 0 || gpu_emulator_refused())
        return gpuErrorInvalidValue;
    pinned_memory[(char *)at] = memory{nbytes, 0};
    return gpuSuccess;
}

gpuError_t gpuHostUnregister(void *at)
{
    gpu_emulator_guard hold(gpu_emulator_lock);
    if (pinned_memory.erase((char *)at) == 0)
        return gpuErrorInvalidValue;
    gpu_emulator_drain_all();
    return gpuSuccess;
}
