/* The rules of FORMAT.md, each broken by itself. */
#include "ckpt_test.h"
#include "ckpt_wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Each breaks rule number `rule` and returns what the failure says; NULL when there is no such rule. */
static const char *break_manifest(ckpt_test *m, int rule)
{
    switch (rule) {
    case 0: m->manifest.ddpt_version = ""; return "version of ddpt";
    case 1: m->manifest.ddpt_version = "1\x1b[2J"; return "version of ddpt";
    case 2: m->manifest.config_json = ""; return "the configuration is missing";
    case 3: m->manifest.config_digest = "0123456789abcde"; return "digest of the configuration";
    case 4: m->manifest.config_digest = "0123456789abcdef0"; return "digest of the configuration";
    case 5: m->manifest.graph_digest = "0123456789abcdeg"; return "digest of the graph";
    case 6: m->manifest.saved_at = INT64_MIN; return "its time is -9223372036854775808";
    case 7: m->manifest.world_size = 0; return "written by 0 ranks";
    case 8: m->manifest.position.step = -1; return "step -1 of epoch 2";
    case 9: m->manifest.position.epoch = -1; return "step 250 of epoch -1";
    case 10: m->manifest.position.step_in_epoch = 101; return "step 101 in an epoch of 100: 0 to 100";
    case 11: m->manifest.position.step_in_epoch = -1; return "step -1 in an epoch of 100";
    case 12: m->manifest.position.steps_per_epoch = 0; return "0 steps an epoch";
    case 13: m->manifest.position.global_batch = 0; return "a global batch of 0";
    case 14: m->manifest.position.epoch_samples = -5; return "-5 samples an epoch";
    case 15: m->manifest.position.loss = HUGE_VAL; return "the loss is inf";
    case 16: m->manifest.position.epoch_loss_sum = NAN; return "must be finite";
    case 17: m->manifest.position.epoch_correct_sum = NAN; return "must be finite";
    case 18: m->manifest.optimizer = ""; return "name of the optimizer";
    case 19: m->scalars[1].name = ""; return "name of scalar 1";
    case 20: m->scalars[0].value = -HUGE_VAL; return "'learning_rate' is -inf";
    case 21: m->scalars[1].name = "learning_rate"; return "two scalars have the name 'learning_rate'";
    }
    return NULL;
}

static const char *break_tensor(ckpt_test *m, int rule)
{
    switch (rule) {
    case 0: m->tensors[2].name = ""; return "name of tensor 2";
    case 1: m->tensors[2].name = "a\nb"; return "name of tensor 2";
    case 2: m->tensors[2].name = "a\x7f"; return "name of tensor 2";
    case 3: m->tensors[3].name = "dense1/weight"; return "two tensors have the name 'dense1/weight'";
    case 4: m->tensors[1].role = (ckpt_role)0; return "'dense1/bias' has role 0, 1 to 3 are known";
    case 5: m->tensors[1].role = (ckpt_role)4; return "'dense1/bias' has role 4";
    case 6: m->tensors[1].dtype = (ckpt_dtype)0; return "'dense1/bias' has dtype 0";
    case 7: m->tensors[1].dtype = (ckpt_dtype)2; return "'dense1/bias' has dtype 2";
    case 8: m->tensors[0].dims[1] = 0; return "has a dimension of 0";
    case 9:
        m->tensors[0].dims[0] = m->tensors[0].dims[1] = UINT64_C(1) << 33;
        return "more bytes than 64 bits can count";
    case 10:
        m->tensors[0].dims[0] = m->tensors[0].dims[1] = UINT64_C(1) << 31;
        return "more bytes than 64 bits can count";
    case 11:
        m->tensors[0].dims[0] = 34;
        m->tensors[0].elements += 50;
        return "'dense1/weight' has 1700 elements, its pieces hold 1650";
    }
    return NULL;
}

static const char *break_piece(ckpt_test *m, int rule)
{
    switch (rule) {
    case 0: m->tensors[0].piece_count--; return "has 1650 elements, its pieces hold 1100";
    case 1: m->tensors[0].piece_count = 0; return "has 1650 elements, its pieces hold 0";
    case 2: m->pieces[0][1] = m->pieces[0][0]; return "where one that begins at 550 is expected";
    case 3: m->pieces[0][1].first++; return "from element 551 on where one that begins at 550";
    case 4: m->pieces[0][1].first--; return "from element 549 on where one that begins at 550";
    case 5: m->pieces[0][0] = m->pieces[0][1]; return "from element 550 on where one that begins at 0";
    case 6: m->pieces[0][1].nbytes = 0; return "a piece of 0 bytes";
    case 7: m->pieces[0][1].nbytes -= 1; return "a piece of 2199 bytes, its elements have 4";
    case 8: m->pieces[0][2].nbytes -= 4; return "its pieces hold 1649";
    case 9: m->pieces[0][2].nbytes += 4; return "has a piece of 551";
    case 10: m->pieces[0][2].nbytes = UINT64_MAX - 3; return "has a piece of 4611686018427387903";
    case 11: m->pieces[0][1].shard = 3; return "in shard 3, but there are 3 shards";
    case 12: m->pieces[0][1].shard = UINT32_MAX; return "in shard 4294967295";
    case 13: m->pieces[0][1].shard = 2; return "shard 1 is filled up to byte 0";
    case 14: m->pieces[0][1].offset = UINT64_MAX - 3; return "which has only";
    case 15: m->pieces[4][2].offset -= 1; return "shard 2 is filled up to";
    case 16: m->pieces[4][2].offset -= 4; return "shard 2 is filled up to";
    case 17: m->shard_bytes[2] += 4; return "shard 2 has 4424 bytes, its pieces fill 4420";
    case 18: m->shard_bytes[2] = UINT64_MAX; return "its pieces fill 4420";
    case 19: m->shard_bytes[2] -= 4; return "shard 2, which has only 4416";
    }
    return NULL;
}

static const char *(*const breaks[])(ckpt_test *m, int rule) = {break_manifest, break_tensor, break_piece};

/* A manifest that breaks a rule; the next one at each call, NULL behind the last. */
static const char *next_broken(ckpt_test *made, size_t *kind, int *rule)
{
    for (; *kind < sizeof breaks / sizeof *breaks; ++*kind, *rule = 0) {
        ckpt_test_fill(made, 250, 3, 0);
        const char *text = breaks[*kind](made, (*rule)++);
        if (text)
            return text;
    }
    return NULL;
}

static void broken_rules_are_named_when_packing(void **state)
{
    (void)state;
    ckpt_test made;
    size_t kind = 0;
    int rule = 0;
    for (const char *text; (text = next_broken(&made, &kind, &rule));) {
        uint8_t *bytes;
        size_t nbytes;
        base_status status = ckpt_manifest_pack(&made.manifest, &bytes, &nbytes);
        if (status != BASE_CKPT || !strstr(base_status_message(), text))
            fail_msg("status %d: '%s' where '%s' is expected", status, base_status_message(), text);
    }
}

/* The same on the way in, past the check on the way out. */
static void broken_rules_are_named_when_unpacking(void **state)
{
    (void)state;
    ckpt_test made;
    size_t kind = 0;
    int rule = 0;
    for (const char *text; (text = next_broken(&made, &kind, &rule));) {
        ckpt_wire_file file = {.format_version = CKPT_FORMAT_VERSION};
        size_t nbytes;
        uint8_t *content = ckpt_wire_pack(&made.manifest, &file.manifest_nbytes);
        assert_non_null(content);
        file.manifest = content;
        file.xxh64 = XXH64(content, file.manifest_nbytes, 0);
        uint8_t *bytes = ckpt_wire_pack_file(&file, &nbytes);
        assert_non_null(bytes);
        ckpt_test_assert_refused(bytes, nbytes, text);
        free(content);
        free(bytes);
    }
}

static void missing_texts_are_refused(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 250, 3, 0);
    made.manifest.ddpt_version = NULL;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_CKPT);
    ckpt_test_fill(&made, 250, 3, 0);
    made.manifest.config_json = NULL;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_CKPT);
    ckpt_test_fill(&made, 250, 3, 0);
    made.tensors[1].name = NULL;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_CKPT);
}

static void what_may_be_empty_is_taken(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 0, 3, 0);
    made.manifest.scalar_count = 0;
    made.manifest.shard_count = made.manifest.tensor_count = 0; /* nothing but a position */
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    const ckpt_manifest *found = ckpt_test_unpack(bytes, nbytes);
    ckpt_test_assert_same(found, &made.manifest);
    free(bytes);

    ckpt_test_fill(&made, 0, 3, 0);
    made.manifest.shard_count = 4; /* a rank that had nothing to write */
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    ckpt_test_unpack(bytes, nbytes);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CKPT_TEST_WITH_ARENA(broken_rules_are_named_when_packing),
        CKPT_TEST_WITH_ARENA(broken_rules_are_named_when_unpacking),
        CKPT_TEST_WITH_ARENA(missing_texts_are_refused),
        CKPT_TEST_WITH_ARENA(what_may_be_empty_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
