/* test_device.h: the tests that test_device.c is made of. Included before their sources, whose main is
 * test_gpu_<name>_main there. */
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#define TEST_DEVICE_ALL(X)                                                                                             \
    X(elementwise)                                                                                                     \
    X(bias) X(dropout) X(pool) X(conv) X(norm) X(loss) X(optim) X(small) X(implicit) X(ops) X(ops_layer) X(ops_conv) X(ops_fusion)   \
        X(ops_step)

#define TEST_DEVICE_DECLARE(name) int test_gpu_##name##_main(void);
TEST_DEVICE_ALL(TEST_DEVICE_DECLARE)

#endif
