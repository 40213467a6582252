/* test_device NAME: the tests of the GPU's kernels and slots on this machine's GPU. One program, so that the kernels
 * are in a bundle once. --list prints the names. */
#include "test_device.h"

#include <stdio.h>
#include <string.h>

#define DESCRIBE(name) {#name, test_gpu_##name##_main},
static const struct {
    const char *name;
    int (*run)(void);
} tests[] = {TEST_DEVICE_ALL(DESCRIBE)};

int main(int argc, char **argv)
{
    const char *wanted = argc == 2 ? argv[1] : "";
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (strcmp(wanted, tests[i].name) == 0)
            return tests[i].run();
        if (strcmp(wanted, "--list") == 0)
            puts(tests[i].name);
    }
    if (strcmp(wanted, "--list") == 0)
        return 0;
    fprintf(stderr, "usage: test_device NAME | --list; there is no test '%s'\n", wanted);
    return 2;
}
