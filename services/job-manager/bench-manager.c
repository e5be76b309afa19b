/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the domain costs per job, without transport: N jobs are submitted, then allocated, run and
 * ended, 64 at a time, while the others wait. Prints time and memory per job. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/monotime.h"
#include "service/log.h"
#include "manager.h"

#define STEP 64

static bool flying, flying_soon;

static double op_now(void *arg)
{
    return walltime();
}
static int op_append(void *arg, const char *key, const char *data, size_t len)
{
    return 0;
}
static int op_put(void *arg, const char *key, const char *value)
{
    return 0;
}
static int op_archive(void *arg, const char *key, const char *ns, const char *log)
{
    return 0;
}
static int op_namespace(void *arg, const char *key, const char *ns, uint32_t owner)
{
    return 0;
}
static int op_unlink(void *arg, const char *key)
{
    return 0;
}
static int op_commit(void *arg)
{
    flying = true;
    return 0;
}
static void op_commit_timer(void *arg, double seconds)
{
    flying_soon = seconds > 0.;
}
static int op_send(void *arg, const char *topic, const char *json, bool noresponse)
{
    return 0;
}
static void op_respond(void *arg, struct request *req, const char *json)
{
}
static void op_fail(void *arg, struct request *req, int errnum, const char *sentence)
{
}
static struct request *op_ref(void *arg, struct request *req)
{
    return req;
}
static void op_unref(void *arg, struct request *req)
{
}
static void op_wake(void *arg, enum manager_peer peer)
{
}

static void op_announce(void *arg, struct request *req, const char *json)
{
}

static const struct manager_ops ops = {
    .now = op_now,
    .kvs_append = op_append,
    .kvs_put = op_put,
    .kvs_unlink = op_unlink,
    .kvs_prune = op_unlink,
    .kvs_namespace = op_namespace,
    .kvs_archive = op_archive,
    .kvs_commit = op_commit,
    .commit_timer = op_commit_timer,
    .send = op_send,
    .respond = op_respond,
    .fail = op_fail,
    .ref = op_ref,
    .unref = op_unref,
    .wake = op_wake,
    .announce = op_announce,
};

static void settle(struct manager *m)
{
    bool more;

    do {
        more = manager_process(m);
        if (flying) {
            flying = false;
            commit_done(m, 0);
            more = true;
        } else if (flying_soon && !more) {
            flying_soon = false;
            commit_late(m);
            more = true;
        }
    } while (more);
}

static void take(struct manager *m, int (*fn)(struct manager *m, json_t *o), const char *fmt,
                 uint64_t id)
{
    char buf[512];
    json_t *o;

    (void)snprintf(buf, sizeof(buf), fmt, id);
    o = json_loads(buf, 0, NULL);
    (void)fn(m, o);
    json_decref(o);
}

static void submit_all(struct manager *m, uint64_t n)
{
    json_t *jobspec = json_loads(
        "{\"resources\":[{\"type\":\"slot\",\"count\":1,\"with\":[{\"type\":\"core\",\"count\":1}],"
        "\"label\":\"task\"}],\"tasks\":[{\"command\":[\"true\"],\"slot\":\"task\",\"count\":"
        "{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0,\"cwd\":\"/home/user\","
        "\"shell\":{\"options\":{\"rlimit\":{\"cpu\":-1,\"core\":0}}}}},\"version\":1}",
        0, NULL);

    for (uint64_t id = 1; id <= n; id++) {
        struct submission s = {
            .id = id, .userid = 1, .urgency = 16, .t_submit = 1e9, .jobspec = jobspec
        };

        (void)submit_job(m, &s);
        if (id % STEP == 0)
            settle(m);
    }
    settle(m);
    json_decref(jobspec);
}

static void run_all(struct manager *m, uint64_t n)
{
    for (uint64_t first = 1; first <= n; first += STEP) {
        uint64_t last = first + STEP - 1 < n ? first + STEP - 1 : n;

        for (uint64_t id = first; id <= last; id++)
            take(m, alloc_response,
                 "{\"id\":%" PRIu64 ",\"type\":0,\"R\":{\"version\":1,\"execution\":{\"R_lite\":"
                 "[{\"rank\":\"0\",\"children\":{\"core\":\"0\"}}],\"nodelist\":[\"node0\"],"
                 "\"starttime\":1,\"expiration\":0}},\"annotations\":{\"sched\":"
                 "{\"resource_summary\":\"rank0/core0\"}}}",
                 id);
        settle(m);
        for (uint64_t id = first; id <= last; id++)
            take(m, start_response, "{\"id\":%" PRIu64 ",\"type\":\"start\",\"data\":{}}", id);
        settle(m);
        for (uint64_t id = first; id <= last; id++) {
            take(m, start_response,
                 "{\"id\":%" PRIu64 ",\"type\":\"finish\",\"data\":{\"status\":0}}", id);
            take(m, start_response,
                 "{\"id\":%" PRIu64 ",\"type\":\"release\",\"data\":{\"ranks\":\"all\","
                 "\"final\":true}}",
                 id);
        }
        settle(m);
    }
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    size_t before = mallinfo2().uordblks;
    struct manager m;
    uint64_t t;

    log_set_level(LOG_CRIT);
    manager_init(&m, &ops, NULL, 1);
    (void)start_hello(&m, NULL, "job-exec");
    (void)alloc_ready(&m, (struct request *)&m, "unlimited", true, "5e", NULL);
    m.start.hello = (struct request *)&m;
    (void)journal_listen(&m, (struct request *)&m, 0);
    t = monotime_usec();
    submit_all(&m, n);
    printf("submit: %.2f us a job; %zu bytes a waiting job\n",
           (double)(monotime_usec() - t) / (double)n,
           (size_t)((mallinfo2().uordblks - before) / n));
    t = monotime_usec();
    run_all(&m, n);
    printf("run: %.2f us a job; %zu active, %" PRIu64 " inactive; %zu bytes kept\n",
           (double)(monotime_usec() - t) / (double)n, manager_count(&m), m.ninactive,
           mallinfo2().uordblks - before);
    m.start.hello = m.alloc.ready = NULL;
    manager_deinit(&m);
    return 0;
}
