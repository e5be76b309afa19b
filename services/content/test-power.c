/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "content/power.h"
#include "content/sweep.h"

/* A store and its journal live until the power fails, and what the disk has then is opened again,
 * many times over. Change n stores blob n and makes root n; a checkpoint has the number of the last
 * change before it. So what is there says which changes are. FLUX_TEST_CUTS: how often, instead of
 * 250 for each kind of durability. */
#define CUTS          250
#define CUTS_LIFE     25 /* then a new store */
#define BLOB_SIZE_MAX 20000

struct fixture {
    char dir[64];
    char path[128];
    enum store_sync sync;
    unsigned int seed;
    struct store *st;
    struct journal *j;
    struct sweep *sw;
    int next;    /* change */
    int kept;    /* the newest that was acknowledged */
    int garbage; /* all below may be removed */
    int checkpoint, checkpoint_kept;
    int ncuts, nlost;
};

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/test-power.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    fx->seed = 1;
    *state = fx;
    return 0;
}

static void wipe(struct fixture *fx)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    struct fixture *fx = *state;

    wipe(fx);
    free(fx);
    return 0;
}

static int dice(struct fixture *fx, int n)
{
    return rand_r(&fx->seed) % n;
}

/* The bytes of blob n. */
static size_t blob(int n, char *buf, uint8_t digest[DIGEST_SIZE])
{
    unsigned int seed = (unsigned int)n;
    size_t size =
        8 + (size_t)(rand_r(&seed) % 4 ? rand_r(&seed) % 300 : rand_r(&seed) % (BLOB_SIZE_MAX - 8));

    for (size_t i = 0; i < size; i++)
        buf[i] = (char)(n + (int)i * 7);
    memcpy(buf, &n, sizeof(n));
    digest_compute(DIGEST_BLAKE2B, buf, size, digest);
    return size;
}

static int open_all(struct fixture *fx)
{
    struct store_params params = { .path = fx->path, .sync = fx->sync };
    struct journal_params jparams = {
        .path = fx->path, .sync = fx->sync, .io = &power_io, .segment_blobs = 20
    };
    struct segment_scan scan = { 0 };
    flux_error_t error = { 0 };

    if (store_open(&params, &fx->st, &error) < 0 ||
        journal_open(&jparams, fx->st, &scan, &fx->j, &error) < 0 ||
        sweep_new(fx->st, fx->j, &fx->sw) < 0) {
        if (!power_is_off())
            fail_msg("cut %d: %s", fx->ncuts, error.text);
        return -1;
    }
    if (fx->sync == STORE_SYNC_FULL)
        assert_int_equal(scan.damaged, 0);
    return 0;
}

static void close_all(struct fixture *fx)
{
    fx->sw = sweep_free(fx->sw);
    fx->j = journal_close(fx->j);
    fx->st = store_close(fx->st);
}

/* --- what is there */

static bool is_there(struct fixture *fx, int n)
{
    static char expected[BLOB_SIZE_MAX];
    uint8_t digest[DIGEST_SIZE];
    size_t expected_size = blob(n, expected, digest);
    void *data = NULL;
    size_t size = 0;
    int rc = journal_load(fx->j, digest, &data, &size);

    if (rc == -ENOENT)
        rc = store_load(fx->st, digest, &data, &size);
    if (rc != 0 && rc != -ENOENT)
        fail_msg("cut %d, blob %d: %s", fx->ncuts, n, strerror(-rc));
    if (rc == 0 && (size != expected_size || memcmp(data, expected, size) != 0))
        fail_msg("cut %d, blob %d: wrong data", fx->ncuts, n);
    free(data);
    return rc == 0;
}

/* The number of the change that set the root; -1: none. */
static int last_root(struct fixture *fx)
{
    CLEANUP(json_decrefp) json_t *roots = NULL;
    json_t *o;

    assert_int_equal(store_roots(fx->st, &roots), 0);
    assert_int_equal(journal_overlay_roots(fx->j, roots), 0);
    o = json_object_get(json_array_get(roots, 0), "root");
    return o ? (int)json_integer_value(json_object_get(o, "seq")) : -1;
}

static int last_checkpoint(struct fixture *fx)
{
    char *text = NULL;
    int n = -1;

    if (journal_get_checkpoint(fx->j, "key", &text) == 0 ||
        store_get_checkpoint(fx->st, "key", &text) == 0)
        n = (int)strtol(text, NULL, 10);
    free(text);
    return n;
}

/* Under FULL what was acknowledged is there. Else a number of the newest changes may be missing,
 * but none before one that is there. */
static void check(struct fixture *fx)
{
    int last = last_root(fx);
    int checkpoint = last_checkpoint(fx);

    assert_true(last < fx->next);
    assert_true(checkpoint <= fx->checkpoint && checkpoint <= last);
    if (fx->sync == STORE_SYNC_FULL && (last < fx->kept || checkpoint < fx->checkpoint_kept))
        fail_msg("cut %d: root %d of %d, checkpoint %d of %d", fx->ncuts, last, fx->kept,
                 checkpoint, fx->checkpoint_kept);
    fx->nlost += last < fx->kept;
    for (int n = fx->garbage; n < fx->next; n++) {
        if (!is_there(fx, n) && n <= last)
            fail_msg("cut %d: blob %d of %d is gone (acknowledged: %d)", fx->ncuts, n, last,
                     fx->kept);
    }
    fx->kept = last;
    fx->next = last + 1;
    fx->checkpoint = fx->checkpoint_kept = checkpoint;
}

/* --- what goes on */

struct commit {
    struct change change;
    json_t *header;
    char *raw;
};

/* As the key-value store sends it: a blob, and a root that refers to it. */
static void commit_init(struct commit *c, int n)
{
    static char data[BLOB_SIZE_MAX];
    uint8_t digest[DIGEST_SIZE];
    size_t data_size = blob(n, data, digest);
    flux_error_t error;
    char header[128];
    uint32_t size;

    size = (uint32_t)snprintf(
        header, sizeof(header),
        "{\"blobs\":[%zu],\"roots\":[{\"ns\":\"primary\",\"root\":{\"seq\":%d}}]}", data_size, n);
    c->raw = malloc(sizeof(size) + size + data_size);
    memcpy(c->raw + sizeof(size), header, size);
    memcpy(c->raw + sizeof(size) + size, data, data_size);
    data_size += sizeof(size) + size;
    size = htonl(size);
    memcpy(c->raw, &size, sizeof(size));
    assert_int_equal(
        change_decode(c->raw, data_size, BLOB_SIZE_MAX, &c->change, &c->header, &error), 0);
}

static void commit_deinit(struct commit *c)
{
    json_decref(c->header);
    free(c->raw);
}

static void put_some(struct fixture *fx)
{
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);
    struct commit commits[5] = { 0 };
    int count = 1 + dice(fx, 5);

    for (int i = 0; i < count; i++) {
        commit_init(&commits[i], fx->next++);
        TAILQ_INSERT_TAIL(&list, &commits[i].change, link);
    }
    (void)journal_append(fx->j, &list);
    for (int i = 0; i < count; i++) {
        if (!power_is_off() && commits[i].change.err == 0)
            fx->kept = fx->next - count + i;
        commit_deinit(&commits[i]);
    }
}

static void put_checkpoint(struct fixture *fx)
{
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);
    char text[16];
    struct change ch = { .checkpoint_key = "key", .checkpoint_value = text };

    snprintf(text, sizeof(text), "%d", fx->next - 1);
    TAILQ_INSERT_TAIL(&list, &ch, link);
    (void)journal_append(fx->j, &list);
    fx->checkpoint = fx->next - 1;
    if (!power_is_off() && ch.err == 0)
        fx->checkpoint_kept = fx->checkpoint;
}

/* Everything before a blob of late is not needed any more. */
static void sweep_some(struct fixture *fx)
{
    struct sweep_marked marked = { 0 };
    struct sweep_step step = { 0 };
    uint64_t generation;

    if (sweep_begin(fx->sw, 0, &generation) < 0)
        return;
    if (fx->kept > 30)
        fx->garbage = fx->kept - 30;
    for (int n = fx->garbage; n < fx->next; n++) {
        static char data[BLOB_SIZE_MAX];
        uint8_t digest[DIGEST_SIZE];

        (void)blob(n, data, digest);
        if (sweep_mark(fx->sw, generation, digest, &marked) < 0)
            return;
    }
    while (!step.done && sweep_step(fx->sw, generation, 10, &step) == 0)
        ;
}

static void live(struct fixture *fx)
{
    while (!power_is_off()) {
        switch (dice(fx, 12)) {
        case 0:
            journal_rotate(fx->j);
            break;
        case 1:
        case 2:
        case 3:
            (void)journal_fold(fx->j, fx->st);
            break;
        case 4:
            put_checkpoint(fx);
            break;
        case 5:
            if (dice(fx, 8) == 0)
                sweep_some(fx);
            break;
        default:
            put_some(fx);
        }
    }
}

static int number_of_cuts(void)
{
    const char *s = getenv("FLUX_TEST_CUTS");

    return s ? (int)strtol(s, NULL, 10) : CUTS;
}

static void run_cuts(struct fixture *fx, enum store_sync sync)
{
    int cuts = number_of_cuts();

    fx->sync = sync;
    for (fx->ncuts = 0; fx->ncuts < cuts; fx->ncuts++) {
        if (fx->ncuts % CUTS_LIFE == 0) {
            wipe(fx);
            assert_int_equal(mkdir(fx->dir, 0700), 0);
            fx->next = fx->garbage = 0;
            fx->kept = fx->checkpoint = fx->checkpoint_kept = -1;
        }
        power_begin(fx->dir, (unsigned int)fx->ncuts, dice(fx, 400));
        if (open_all(fx) == 0) {
            check(fx);
            live(fx);
        }
        close_all(fx);
        power_restore();
    }
}

static void test_a_power_cut_loses_nothing_that_was_acknowledged(void **state)
{
    struct fixture *fx = *state;

    run_cuts(fx, STORE_SYNC_FULL);
    assert_int_equal(fx->nlost, 0);
}

static void test_without_syncs_a_power_cut_loses_the_newest_only(void **state)
{
    struct fixture *fx = *state;

    run_cuts(fx, STORE_SYNC_NORMAL);
    assert_true(fx->nlost > 0); /* else the cuts cut nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_power_cut_loses_nothing_that_was_acknowledged, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_without_syncs_a_power_cut_loses_the_newest_only, setup,
                                        teardown),
    };

    power_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
