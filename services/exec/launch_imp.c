/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shells as transient units of the system manager, which only root may ask for: flux-imp(8) does,
 * over connections to RUNDIR/imp. Request and answer are one record each, NUL-terminated KEY=VALUE
 * strings; imp/request.h has the other side. The unit is PID 1's: neither flux-exec nor flux-imp
 * need to live for it to run.
 *
 * A connection starts a process of flux-imp, which takes longer than the request: so a few are
 * kept for a while. One request is under way on each, the rest waits here in order. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/list.h"
#include "base/number.h"
#include "launch_impl.h"
#include "service/log.h"

#define ANSWER_TIMEOUT  30.          /* seconds */
#define ANSWER_MAX      (256 * 1024) /* more than a record can hold */
#define REQUEST_MAX     512
#define CONNECTIONS_MAX 4  /* PID 1 does one thing at a time */
#define IDLE_TIMEOUT    5. /* seconds; flux-imp waits longer for a request */

enum imp_verb { IMP_START, IMP_KILL, IMP_LIST };

struct imp_conn;

struct imp_call {
    TAILQ_ENTRY(imp_call) link;
    struct launcher *l;
    enum imp_verb verb;
    struct launch *p;   /* start; NULL: nobody wants to know any more */
    launcher_list_f cb; /* list */
    void *arg;
    struct imp_conn *conn; /* NULL: waits for one */
    size_t len;
    char request[REQUEST_MAX];
};

struct imp_conn {
    TAILQ_ENTRY(imp_conn) link;
    struct imp_pool *pool;
    struct imp_call *call; /* under way; NULL: idle */
    bool used;             /* has answered before */
    int fd;
    flux_watcher_t *w, *timer;
};

struct imp_pool {
    TAILQ_HEAD(, imp_call) waiting, under_way;
    TAILQ_HEAD(, imp_conn) conns;
    size_t nconns;
};

static struct imp_conn *imp_conn_free(struct imp_conn *conn)
{
    if (conn) {
        if (conn->call)
            conn->call->conn = NULL;
        TAILQ_REMOVE(&conn->pool->conns, conn, link);
        conn->pool->nconns--;
        flux_watcher_destroy(conn->timer);
        flux_watcher_destroy(conn->w);
        closep(&conn->fd);
        free(conn);
    }
    return NULL;
}

static struct imp_call *imp_call_free(struct imp_call *c)
{
    struct imp_pool *pool;

    if (c) {
        pool = c->l->data;
        if (c->conn) {
            TAILQ_REMOVE(&pool->under_way, c, link);
            c->conn->call = NULL;
        } else {
            TAILQ_REMOVE(&pool->waiting, c, link);
        }
        if (c->p && c->verb == IMP_START)
            c->p->data = NULL;
        free(c);
    }
    return NULL;
}

/* The value of a key in an answer, NULL if it has none. Answers end with a NUL (checked). */
static const char *answer_get(const char *answer, size_t len, const char *key)
{
    const size_t n = strlen(key);

    for (const char *p = answer; p < answer + len; p += strlen(p) + 1)
        if (strncmp(p, key, n) == 0 && p[n] == '=')
            return p + n + 1;
    return NULL;
}

static void finish_start(struct imp_call *c, const char *answer, size_t len, const char *error)
{
    struct launch *p = c->p;
    const char *pid_text = error ? NULL : answer_get(answer, len, "pid");
    uint64_t pid = 0;

    imp_call_free(c); /* answer and error are not its */
    if (!p)
        return;
    if (error)
        launch_failed(p, EPERM, "flux-imp: %s", error);
    else if (answer_get(answer, len, "stopping"))
        launch_failed(p, ESHUTDOWN, "the node is being shut down");
    else if (!pid_text || number_parse_u64(pid_text, INT32_MAX, &pid) < 0)
        launch_failed(p, EPROTO, "flux-imp did not say which process the shell is");
    else
        launch_got_pid(p, (pid_t)pid, false);
}

static void finish_list(struct imp_call *c, const char *answer, size_t len)
{
    for (const char *p = answer; p < answer + len; p += strlen(p) + 1) {
        uint64_t id;

        if (strncmp(p, "jobid=", 6) == 0 && number_parse_u64(p + 6, UINT64_MAX, &id) == 0 && id)
            c->cb(id, c->arg);
    }
    c->cb(0, c->arg);
    imp_call_free(c);
}

static void finish(struct imp_call *c, const char *answer, size_t len, const char *error)
{
    if (!error)
        error = answer_get(answer, len, "error");
    if (c->verb == IMP_START) {
        finish_start(c, answer, len, error);
        return;
    }
    if (error)
        log_err("flux-imp: %s", error);
    if (c->verb == IMP_LIST)
        finish_list(c, answer, error ? 0 : len);
    else
        imp_call_free(c);
}

/* --- connections */

static void pump(struct imp_pool *pool);

static void conn_set_timer(struct imp_conn *conn, double seconds)
{
    flux_timer_watcher_reset(conn->timer, seconds, 0.);
    flux_watcher_start(conn->timer);
}

/* The connection is free for the next request; its request is told. */
static void conn_done(struct imp_conn *conn, const char *answer, size_t len, const char *error)
{
    struct imp_pool *pool = conn->pool;
    struct imp_call *c = conn->call;

    TAILQ_REMOVE(&pool->under_way, c, link);
    TAILQ_INSERT_HEAD(&pool->waiting, c, link); /* where imp_call_free looks for it */
    c->conn = NULL;
    conn->call = NULL;
    conn->used = true;
    conn_set_timer(conn, IDLE_TIMEOUT);
    if (error)
        imp_conn_free(conn);
    finish(c, answer, len, error);
    pump(pool);
}

/* flux-imp went away. A request on a connection that was idle before may have crossed its end: it
 * is sent once more (asking twice does no harm). */
static void conn_lost(struct imp_conn *conn)
{
    struct imp_pool *pool = conn->pool;
    struct imp_call *c = conn->call;

    if (c && !conn->used) {
        conn_done(conn, "", 0, "it ended without an answer (journalctl -u 'flux-imp@*' says why)");
        return;
    }
    if (c) {
        TAILQ_REMOVE(&pool->under_way, c, link);
        TAILQ_INSERT_HEAD(&pool->waiting, c, link);
    }
    imp_conn_free(conn);
    pump(pool);
}

static void on_answer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct imp_conn *conn = arg;
    static char buf[ANSWER_MAX];
    const ssize_t n = recv(conn->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || !conn->call)
        conn_lost(conn);
    else if (buf[n - 1] != '\0')
        conn_done(conn, "", 0, "its answer cannot be read");
    else
        conn_done(conn, buf, (size_t)n, NULL);
}

static void on_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct imp_conn *conn = arg;

    if (conn->call)
        conn_done(conn, "", 0, "it did not answer");
    else
        imp_conn_free(conn);
}

static int imp_connect(const struct launcher *l)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    const int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/imp", l->rundir);

    if (fd < 0)
        return -errno;
    if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
        return -ENAMETOOLONG;
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int imp_conn_new(struct launcher *l, struct imp_conn **ret)
{
    struct imp_pool *pool = l->data;
    struct imp_conn *conn;
    int fd = imp_connect(l);

    if (fd < 0)
        return fd;
    conn = calloc(1, sizeof(*conn));
    if (!conn) {
        closep(&fd);
        return -ENOMEM;
    }
    conn->pool = pool;
    conn->fd = fd;
    TAILQ_INSERT_TAIL(&pool->conns, conn, link);
    pool->nconns++;
    conn->w = flux_fd_watcher_create(l->reactor, fd, FLUX_POLLIN, on_answer, conn);
    conn->timer = flux_timer_watcher_create(l->reactor, ANSWER_TIMEOUT, 0., on_timeout, conn);
    if (!conn->w || !conn->timer) {
        imp_conn_free(conn);
        return -ENOMEM;
    }
    flux_watcher_start(conn->w);
    *ret = conn;
    return 0;
}

/* 0; 1: all connections are busy; or -errno. */
static int get_conn(struct launcher *l, struct imp_conn **ret)
{
    struct imp_pool *pool = l->data;
    struct imp_conn *conn;

    TAILQ_FOREACH (conn, &pool->conns, link)
        if (!conn->call) {
            *ret = conn;
            return 0;
        }
    return pool->nconns < CONNECTIONS_MAX ? imp_conn_new(l, ret) : 1;
}

/* Send a waiting request. 0; 1: it must wait; or -errno. */
static int imp_send(struct imp_call *c)
{
    struct imp_pool *pool = c->l->data;
    struct imp_conn *conn;
    int rc = get_conn(c->l, &conn);

    while (rc == 0 && send(conn->fd, c->request, c->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        const bool again = conn->used; /* it ended while it was idle: another one */

        rc = -errno;
        imp_conn_free(conn);
        if (again)
            rc = get_conn(c->l, &conn);
    }
    if (rc != 0)
        return rc;
    TAILQ_REMOVE(&pool->waiting, c, link);
    TAILQ_INSERT_TAIL(&pool->under_way, c, link);
    c->conn = conn;
    conn->call = c;
    conn_set_timer(conn, ANSWER_TIMEOUT);
    return 0;
}

static void pump(struct imp_pool *pool)
{
    struct imp_call *c;

    while ((c = TAILQ_FIRST(&pool->waiting))) {
        const int rc = imp_send(c);

        if (rc > 0)
            return;
        if (rc < 0)
            finish(c, "", 0, strerror(-rc));
    }
}

static struct imp_call *imp_call_new(struct launcher *l, enum imp_verb verb)
{
    struct imp_pool *pool = l->data;
    struct imp_call *c = calloc(1, sizeof(*c));

    if (c) {
        c->l = l;
        c->verb = verb;
        TAILQ_INSERT_TAIL(&pool->waiting, c, link);
    }
    return c;
}

/* len: of the request with its NUL, negative or too long if it could not be written. */
static int imp_submit(struct imp_call *c, int len)
{
    const struct imp_pool *pool = c->l->data;
    int rc;

    if (len < 0 || (size_t)len > sizeof(c->request))
        return -ENAMETOOLONG;
    c->len = (size_t)len;
    if (TAILQ_FIRST(&pool->waiting) != c)
        return 0; /* others were first */
    rc = imp_send(c);
    return rc > 0 ? 0 : rc;
}

/* --- what launchers do */

static void imp_start(struct launch *p, const struct launch_request *req)
{
    struct imp_call *c = imp_call_new(p->l, IMP_START);
    int n, rc;

    if (!c) {
        launch_failed(p, ENOMEM, "out of memory");
        return;
    }
    c->p = p;
    p->data = c;
    n = snprintf(c->request, sizeof(c->request),
                 "verb=start%cjobid=%" PRIu64 "%cuserid=%" PRIu32 "%curi=%s", 0, req->id, 0,
                 req->userid, 0, p->l->uri);
    rc = imp_submit(c, n + 1);
    if (rc < 0) {
        c->p = NULL;
        imp_call_free(c);
        launch_failed(p, -rc, "cannot ask flux-imp at %s/imp: %s", p->l->rundir, strerror(-rc));
    }
}

static void imp_forget(struct launch *p)
{
    struct imp_call *c = p->data;

    c->p = NULL;
}

static int imp_kill(struct launcher *l, flux_jobid_t id, int signum)
{
    struct imp_call *c = imp_call_new(l, IMP_KILL);
    int n, rc;

    if (!c)
        return -ENOMEM;
    n = snprintf(c->request, sizeof(c->request), "verb=kill%cjobid=%" PRIu64 "%csignum=%d", 0, id,
                 0, signum);
    rc = imp_submit(c, n + 1);
    if (rc < 0)
        imp_call_free(c);
    return rc;
}

static int imp_signal(struct launch *p, int signum)
{
    return imp_kill(p->l, p->id, signum);
}

static int imp_purge(struct launcher *l, flux_jobid_t id)
{
    return imp_kill(l, id, SIGKILL);
}

static int imp_list(struct launcher *l, launcher_list_f cb, void *arg)
{
    struct imp_call *c = imp_call_new(l, IMP_LIST);
    int rc;

    if (!c)
        return -ENOMEM;
    c->cb = cb;
    c->arg = arg;
    (void)strcpy(c->request, "verb=list");
    rc = imp_submit(c, sizeof("verb=list"));
    if (rc < 0)
        imp_call_free(c);
    return rc;
}

static int imp_init(struct launcher *l, flux_error_t *error)
{
    struct imp_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    TAILQ_INIT(&pool->waiting);
    TAILQ_INIT(&pool->under_way);
    TAILQ_INIT(&pool->conns);
    l->data = pool;
    return 0;
}

static void imp_deinit(struct launcher *l)
{
    struct imp_pool *pool = l->data;

    while (!TAILQ_EMPTY(&pool->under_way))
        imp_call_free(TAILQ_FIRST(&pool->under_way));
    while (!TAILQ_EMPTY(&pool->waiting))
        imp_call_free(TAILQ_FIRST(&pool->waiting));
    while (!TAILQ_EMPTY(&pool->conns))
        imp_conn_free(TAILQ_FIRST(&pool->conns));
    free(pool);
}

const struct launch_backend launch_imp = {
    .name = "imp",
    .init = imp_init,
    .deinit = imp_deinit,
    .start = imp_start,
    .signal = imp_signal,
    .list = imp_list,
    .purge = imp_purge,
    .forget = imp_forget,
};
