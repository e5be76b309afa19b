/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lack of memory in the client APIs: what is asked, what is read from the answer, what is built for
 * it. The answers are what the services say. */
#include "base/digest.h"
#include "base/nomem.h"
#include "rpc/test-router.h"

#define REF "blake2b-00000000000000000000000000000000000000000000000000000000000000ff"

static const char val[] = "{\"val\":{\"ver\":1,\"type\":\"val\",\"data\":\"eyJuIjo1fQ==\"}}";
static const char dir[] = "{\"val\":{\"ver\":1,\"type\":\"dir\",\"data\":{"
                          "\"a\":{\"ver\":1,\"type\":\"val\",\"data\":\"eA==\"},"
                          "\"b\":{\"ver\":1,\"type\":\"dirref\",\"data\":[\"" REF "\"]}}}}";
static const char symlink_val[] =
    "{\"val\":{\"ver\":1,\"type\":\"symlink\",\"data\":{\"namespace\":"
    "\"ns\",\"target\":\"x.y\"}}}";

/* Answers all that was asked, always with the same. */
static void answer_all(struct router *rt, const char *text)
{
    const long saved = nomem_suspend();
    const int saved_errno = errno;
    flux_msg_t *msg;

    connection_flush(rt->h->conn);
    while ((msg = router_recv(rt))) {
        if (!flux_msg_is_noresponse(msg))
            router_answer(rt, msg, 0, text);
        flux_msg_destroy(msg);
    }
    errno = saved_errno;
    nomem_resume(saved);
}

/* A connection that lost a message for lack of memory is given up: to its callers ECONNRESET. */
static int outcome(struct router *rt, int rc)
{
    if (rc < 0 && errno == ECONNRESET && rt->h->conn->state == CONN_DEAD)
        errno = ENOMEM;
    return rc;
}

/* Wait for f and destroy it. */
static int finish(struct router *rt, flux_future_t *f, const char *text)
{
    int rc;

    if (!f)
        return -1;
    answer_all(rt, text);
    rc = outcome(rt, flux_future_get(f, NULL));
    flux_future_destroy(f);
    return rc;
}

static void settle(void *arg)
{
    struct router *rt = arg;

    answer_all(rt, NULL);
    (void)router_run(rt);
    if (rt->h->conn->state == CONN_DEAD)
        router_reconnect(rt);
}

static int fill(flux_kvs_txn_t *txn)
{
    return flux_kvs_txn_put(txn, 0, "a", "1") < 0 ||
                   flux_kvs_txn_put(txn, FLUX_KVS_APPEND, "a", "1") < 0 ||
                   flux_kvs_txn_put_raw(txn, 0, "b", "\0x", 2) < 0 ||
                   flux_kvs_txn_pack(txn, 0, "c", "{s:[i]}", "n", 1) < 0 ||
                   flux_kvs_txn_mkdir(txn, 0, "d.e") < 0 ||
                   flux_kvs_txn_symlink(txn, 0, "l", "ns", "t") < 0 ||
                   flux_kvs_txn_unlink(txn, 0, "f") < 0 || flux_kvs_txn_prune(txn, 0, "g.h") < 0 ||
                   flux_kvs_txn_archive(txn, 0, "i", "job-1") < 0 ||
                   flux_kvs_txn_archive_job(txn, 0, "m", "job-3", "x") < 0 ||
                   flux_kvs_txn_namespace(txn, 0, "k", "job-2", 7) < 0 ||
                   flux_kvs_txn_put_treeobj(txn, 0, "j",
                                            "{\"ver\":1,\"type\":\"val\",\"data\":\"\"}") < 0
               ? -1
               : 0;
}

static int op_kvs_commit(void *arg)
{
    struct router *rt = arg;
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f = txn && fill(txn) == 0 ? flux_kvs_commit(rt->h, "ns", 0, txn) : NULL;
    const char *ref, *treeobj;
    int rc = -1, seq;

    if (f) {
        answer_all(rt, "{\"rootref\":\"" REF "\",\"rootseq\":7}");
        rc = outcome(rt, flux_kvs_commit_get_sequence(f, &seq));
        if (rc == 0)
            rc = flux_kvs_commit_get_rootref(f, &ref);
        if (rc == 0)
            rc = flux_kvs_commit_get_treeobj(f, &treeobj);
    }
    flux_future_destroy(f);
    flux_kvs_txn_destroy(txn);
    return rc;
}

static int op_kvs_fence(void *arg)
{
    struct router *rt = arg;
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    const int rc = txn ? finish(rt, flux_kvs_fence(rt->h, NULL, 0, "name", 2, txn), NULL) : -1;

    flux_kvs_txn_destroy(txn);
    return rc;
}

static int op_kvs_value(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_kvs_lookup(rt->h, NULL, FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE, "k");
    const char *s, *treeobj;
    const void *data;
    int rc, n, len;

    if (!f)
        return -1;
    answer_all(rt, val);
    rc = outcome(rt, flux_kvs_lookup_get(f, &s));
    if (rc == 0)
        rc = flux_kvs_lookup_get_unpack(f, "{s:i}", "n", &n);
    if (rc == 0)
        rc = flux_kvs_lookup_get_raw(f, &data, &len);
    if (rc == 0)
        rc = flux_kvs_lookup_get_treeobj(f, &treeobj);
    if (rc == 0)
        rc = outcome(rt, flux_kvs_lookup_cancel(f));
    flux_future_destroy(f);
    return rc;
}

static int walk(flux_t *h, const flux_kvsdir_t *d)
{
    flux_kvsdir_t *copy = flux_kvsdir_copy(d);
    flux_kvsitr_t *itr = copy ? flux_kvsitr_create(copy) : NULL;
    flux_kvsdir_t *made =
        itr ? flux_kvsdir_create(h, NULL, "k", "{\"ver\":1,\"type\":\"dir\",\"data\":{}}") : NULL;
    char *at = made ? flux_kvsdir_key_at(copy, "a") : NULL;
    int n = 0;

    while (itr && flux_kvsitr_next(itr))
        n++;
    if (at)
        assert_int_equal(n, 2);
    free(at);
    flux_kvsdir_destroy(made);
    flux_kvsitr_destroy(itr);
    flux_kvsdir_destroy(copy);
    return at ? 0 : -1;
}

static int op_kvs_dir(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_kvs_lookup(rt->h, NULL, FLUX_KVS_READDIR, "k");
    const flux_kvsdir_t *d;
    int rc;

    if (!f)
        return -1;
    answer_all(rt, dir);
    rc = outcome(rt, flux_kvs_lookup_get_dir(f, &d));
    if (rc == 0)
        rc = walk(rt->h, d);
    flux_future_destroy(f);
    return rc;
}

static int op_kvs_symlink(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_kvs_lookupat(rt->h, FLUX_KVS_READLINK, "k",
                                         "{\"ver\":1,\"type\":\"dirref\",\"data\":[\"" REF "\"]}");
    const char *ns, *target;
    int rc;

    if (!f)
        return -1;
    answer_all(rt, symlink_val);
    rc = outcome(rt, flux_kvs_lookup_get_symlink(f, &ns, &target));
    flux_future_destroy(f);
    return rc;
}

static int op_kvs_root(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_kvs_getroot(rt->h, "ns", 0);
    const char *ref, *treeobj;
    uint32_t owner;
    int rc, seq;

    if (!f)
        return -1;
    answer_all(rt, "{\"rootref\":\"" REF "\",\"rootseq\":7,\"owner\":5,\"flags\":0}");
    rc = outcome(rt, flux_kvs_getroot_get_blobref(f, &ref));
    if (rc == 0)
        rc = flux_kvs_getroot_get_treeobj(f, &treeobj);
    if (rc == 0)
        rc = flux_kvs_getroot_get_sequence(f, &seq);
    if (rc == 0)
        rc = flux_kvs_getroot_get_owner(f, &owner);
    flux_future_destroy(f);
    return rc;
}

static int op_kvs_namespaces(void *arg)
{
    struct router *rt = arg;

    return finish(rt, flux_kvs_namespace_create(rt->h, "ns", 1, 0), NULL) < 0 ||
                   finish(rt, flux_kvs_namespace_remove(rt->h, "ns"), NULL) < 0
               ? -1
               : 0;
}

static void on_done(flux_future_t *f, void *arg)
{
    *(int *)arg = flux_future_get(f, NULL) < 0 ? errno : 0;
    flux_future_destroy(f);
}

/* A chain: each step asks when the one before was answered. */
static int chain(struct router *rt, flux_future_t *f, const char *text)
{
    int result = -2;

    if (!f)
        return -1;
    if (flux_future_then(f, -1., on_done, &result) < 0) {
        flux_future_destroy(f);
        return -1;
    }
    for (int i = 0; i < 50 && result == -2; i++) {
        answer_all(rt, text);
        (void)flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT);
    }
    assert_int_not_equal(result, -2);
    errno = result;
    return outcome(rt, result ? -1 : 0);
}

static int op_kvs_copy(void *arg)
{
    struct router *rt = arg;

    return chain(rt, flux_kvs_copy(rt->h, "a", "b", 0), val);
}

static int op_kvs_move(void *arg)
{
    struct router *rt = arg;

    return chain(rt, flux_kvs_move(rt->h, "a", "b", 0), val);
}

/* Of "blob". */
static void answer_digest(struct router *rt)
{
    const long saved = nomem_suspend();
    uint8_t digest[DIGEST_SIZE];
    flux_msg_t *msg, *response;

    digest_compute(DIGEST_BLAKE2B, "blob", 4, digest);
    connection_flush(rt->h->conn);
    while ((msg = router_recv(rt))) {
        response = flux_response_derive(msg, 0);
        assert_int_equal(flux_msg_set_payload(response, digest, sizeof(digest)), 0);
        router_send(rt, response);
        flux_msg_destroy(msg);
    }
    nomem_resume(saved);
}

static int op_content(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_content_load(rt->h, REF, 0);
    flux_future_t *g = f ? flux_content_store(rt->h, "blob", 4, 0) : NULL;
    const void *data;
    const char *ref;
    size_t size;
    int rc = -1;

    if (g) {
        answer_digest(rt);
        rc = outcome(rt, flux_content_load_get(f, &data, &size));
        if (rc == 0)
            rc = outcome(rt, flux_content_store_get(g, &ref));
    }
    flux_future_destroy(g);
    flux_future_destroy(f);
    return rc;
}

static int op_log(void *arg)
{
    struct router *rt = arg;

    flux_log_set_appname(rt->h, "nomem");
    return flux_log(rt->h, LOG_INFO, "a line with %s", "a value");
}

static int op_service(void *arg)
{
    struct router *rt = arg;

    return finish(rt, flux_service_register(rt->h, "svc"), NULL) < 0 ||
                   finish(rt, flux_service_unregister(rt->h, "svc"), NULL) < 0
               ? -1
               : 0;
}

static int op_sync(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_sync_create(rt->h, 0.);
    int result = -2;
    long saved;

    if (!f)
        return -1;
    if (flux_future_then(f, -1., on_done, &result) < 0) {
        flux_future_destroy(f);
        return -1;
    }
    answer_all(rt, NULL);
    saved = nomem_suspend();
    router_event(rt, "heartbeat.pulse");
    nomem_resume(saved);
    for (int i = 0; i < 20 && result == -2; i++)
        (void)flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT);
    if (result == -2 && rt->h->conn->state == CONN_DEAD) {
        flux_future_destroy(f);
        result = ENOMEM;
    }
    assert_int_not_equal(result, -2);
    errno = result;
    return outcome(rt, result ? -1 : 0);
}

static int op_job_submit(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_job_submit(rt->h, "{}", 16, 0);
    flux_future_t *g = f ? flux_job_wait(rt->h, 5) : NULL;
    flux_jobid_t id;
    const char *s;
    int rc = -1;

    if (g) {
        answer_all(rt, "{\"id\":5,\"success\":false,\"errstr\":\"no\"}");
        rc = outcome(rt, flux_job_submit_get_id(f, &id));
        if (rc == 0)
            rc = outcome(rt, flux_job_wait_get_status(g, NULL, &s));
    }
    flux_future_destroy(g);
    flux_future_destroy(f);
    return rc;
}

static int op_job_control(void *arg)
{
    struct router *rt = arg;

    return finish(rt, flux_job_cancel(rt->h, 5, "why"), NULL) < 0 ||
                   finish(rt, flux_job_raise(rt->h, 5, "type", 1, NULL), NULL) < 0 ||
                   finish(rt, flux_job_kill(rt->h, 5, 15), NULL) < 0 ||
                   finish(rt, flux_job_set_urgency(rt->h, 5, 15), NULL) < 0 ||
                   finish(rt, flux_job_list(rt->h, 5, "[\"all\"]", 7, 0), NULL) < 0 ||
                   finish(rt, flux_job_list_id(rt->h, 5, "[\"all\"]"), NULL) < 0
               ? -1
               : 0;
}

static int op_event_publish(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_event_publish_raw(rt->h, "e", 0, "\0\1", 2);
    int rc, seq;

    if (!f)
        return -1;
    answer_all(rt, "{\"seq\":5}");
    rc = outcome(rt, flux_event_publish_get_seq(f, &seq));
    flux_future_destroy(f);
    return rc;
}

#define OP_TEST(name)                              \
    static void every_failure_in_##name(void **st) \
    {                                              \
        nomem_each(op_##name, *st, settle);        \
    }
OP_TEST(kvs_commit)
OP_TEST(kvs_fence)
OP_TEST(kvs_value)
OP_TEST(kvs_dir)
OP_TEST(kvs_symlink)
OP_TEST(kvs_root)
OP_TEST(kvs_namespaces)
OP_TEST(kvs_copy)
OP_TEST(kvs_move)
OP_TEST(content)
OP_TEST(log)
OP_TEST(service)
OP_TEST(sync)
OP_TEST(job_submit)
OP_TEST(job_control)
OP_TEST(event_publish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(every_failure_in_kvs_commit),
        ROUTER_TEST(every_failure_in_kvs_fence),
        ROUTER_TEST(every_failure_in_kvs_value),
        ROUTER_TEST(every_failure_in_kvs_dir),
        ROUTER_TEST(every_failure_in_kvs_symlink),
        ROUTER_TEST(every_failure_in_kvs_root),
        ROUTER_TEST(every_failure_in_kvs_namespaces),
        ROUTER_TEST(every_failure_in_kvs_copy),
        ROUTER_TEST(every_failure_in_kvs_move),
        ROUTER_TEST(every_failure_in_content),
        ROUTER_TEST(every_failure_in_log),
        ROUTER_TEST(every_failure_in_service),
        ROUTER_TEST(every_failure_in_sync),
        ROUTER_TEST(every_failure_in_job_submit),
        ROUTER_TEST(every_failure_in_job_control),
        ROUTER_TEST(every_failure_in_event_publish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
