/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl ping: round trips to a service. Requests are sent at their interval whether or not
 * answers have come; with interval 0 without a pause, while at most WINDOW are unanswered; with
 * --batch all at once. */
#include <string.h>

#include "base/jsonx.h"
#include "base/list.h"
#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "families.h"

#define WINDOW 64

/* A request that is not answered; it goes with its future. */
struct unanswered {
    LIST_ENTRY(unanswered) entry;
    flux_future_t *f;
};

struct ping {
    flux_t *h;
    flux_reactor_t *reactor;
    flux_watcher_t *timer;
    char topic[128];
    char target[128];
    uint32_t nodeid;
    char *pad;
    int pad_size;
    double interval;
    int count; /* 0: no end */
    int sent, answered;
    LIST_HEAD(, unanswered) unanswered;
    bool userid;
    int status;
};

static bool all_sent(const struct ping *p)
{
    return p->count > 0 && p->sent >= p->count;
}

static int fill_window(struct ping *p);

static void print_answer(const struct ping *p, const json_t *o, double elapsed_usec)
{
    const char *route = json_string_value(json_object_get(o, "route"));
    char cred[64] = "";

    if (p->userid)
        snprintf(cred, sizeof(cred), " userid=%u rolemask=0x%x",
                 (unsigned)json_integer_value(json_object_get(o, "userid")),
                 (unsigned)json_integer_value(json_object_get(o, "rolemask")));
    printf("%s pad=%d%s seq=%d time=%.3f ms (%s)\n", p->target, p->pad_size, cred,
           (int)json_integer_value(json_object_get(o, "seq")), elapsed_usec / 1000,
           route ? route : "");
    output_flush();
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct ping *p = arg;
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *s;

    if (flux_rpc_get(f, &s) < 0 || !s || !(o = jsonx_decode_object(s, strlen(s), NULL))) {
        p->status = complain_future(f, "%s", p->target);
        flux_future_destroy(f);
        flux_reactor_stop(p->reactor);
        return;
    }
    p->answered++;
    print_answer(
        p, o,
        (double)(monotime_usec() - (uint64_t)json_integer_value(json_object_get(o, "sent_usec"))));
    flux_future_destroy(f);
    if (all_sent(p) && p->answered == p->sent)
        flux_reactor_stop(p->reactor);
    else if (!p->timer && fill_window(p) < 0)
        flux_reactor_stop(p->reactor);
}

static void forget(void *arg)
{
    struct unanswered *u = arg;

    LIST_REMOVE(u, entry);
    free(u);
}

static int remember(struct ping *p, flux_future_t *f)
{
    struct unanswered *u = calloc(1, sizeof(*u));

    if (!u)
        return -1;
    u->f = f;
    LIST_INSERT_HEAD(&p->unanswered, u, entry);
    if (flux_future_aux_set(f, NULL, u, forget) == 0)
        return 0;
    forget(u);
    return -1;
}

static int send_one(struct ping *p)
{
    flux_future_t *f = flux_rpc_pack(p->h, p->topic, p->nodeid, 0, "{s:i s:I s:s}", "seq", p->sent,
                                     "sent_usec", (json_int_t)monotime_usec(), "pad", p->pad);

    if (!f || flux_future_then(f, -1., on_answer, p) < 0 || remember(p, f) < 0) {
        p->status = complain_future(f, "%s", p->target);
        flux_future_destroy(f);
        return -1;
    }
    p->sent++;
    return 0;
}

static int fill_window(struct ping *p)
{
    while (!all_sent(p) && p->sent - p->answered < WINDOW) {
        if (send_one(p) < 0)
            return -1;
    }
    return 0;
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct ping *p = arg;

    if (send_one(p) < 0)
        flux_reactor_stop(r);
    if (all_sent(p))
        flux_watcher_stop(w);
}

static int parse_rank(const char *s, uint32_t *ret)
{
    if (strcmp(s, "any") == 0)
        *ret = FLUX_NODEID_ANY;
    else if (strcmp(s, "upstream") == 0)
        *ret = FLUX_NODEID_UPSTREAM;
    else if (number_parse_u32(s, ret) < 0) {
        complain("--rank must be a number, any or upstream, not '%s'", s);
        return -1;
    }
    return 0;
}

/* "kvs", "4!kvs", or "4" for the router of rank 4. */
static int parse_target(struct ping *p, const char *target, const char *rank)
{
    const char *bang = strchr(target, '!');
    const char *service = target;

    p->nodeid = FLUX_NODEID_ANY;
    if (rank && parse_rank(rank, &p->nodeid) < 0)
        return -1;
    if (bang) {
        char prefix[16];

        snprintf(prefix, sizeof(prefix), "%.*s", (int)(bang - target), target);
        if (parse_rank(prefix, &p->nodeid) < 0)
            return -1;
        service = bang + 1;
    } else if (!rank && number_parse_u32(target, &p->nodeid) == 0) {
        service = "broker";
    }
    snprintf(p->topic, sizeof(p->topic), "%s.ping", service);
    if (p->nodeid < FLUX_NODEID_UPSTREAM)
        snprintf(p->target, sizeof(p->target), "%u!%s.ping", p->nodeid, service);
    else
        snprintf(p->target, sizeof(p->target), "%s.ping", service);
    return 0;
}

static int run_pings(struct ping *p, bool batch)
{
    p->reactor = flux_get_reactor(p->h);
    while (batch && !all_sent(p)) {
        if (send_one(p) < 0)
            return EXIT_FAILURE;
    }
    if (!batch && p->interval > 0) {
        p->timer = flux_timer_watcher_create(p->reactor, 0., p->interval, on_timer, p);
        if (!p->timer)
            return complain("%s", strerror(errno));
        flux_watcher_start(p->timer);
    } else if (!batch && fill_window(p) < 0) {
        return EXIT_FAILURE;
    }
    if (flux_reactor_run(p->reactor, 0) < 0)
        p->status = complain("lost the connection: %s", strerror(errno));
    return p->status;
}

static int run_ping(const struct cmdline *c)
{
    struct ping p = { .userid = cmdline_has(c, "userid") };
    bool batch = cmdline_has(c, "batch");
    int status = EXIT_FAILURE;

    if (parse_count(cmdline_string(c, "pad", "0"), "--pad", 0, &p.pad_size) < 0 ||
        parse_count(cmdline_string(c, "count", "0"), "--count", 0, &p.count) < 0 ||
        parse_duration(cmdline_string(c, "interval", "1"), "--interval", &p.interval) < 0 ||
        parse_target(&p, c->argc > 0 ? c->argv[0] : "broker", cmdline_string(c, "rank", NULL)) < 0)
        return EXIT_FAILURE;
    if (batch && p.count == 0)
        return complain("--batch needs --count");
    if (!(p.pad = malloc((size_t)p.pad_size + 1)))
        return complain("out of memory");
    memset(p.pad, 'p', (size_t)p.pad_size);
    p.pad[p.pad_size] = '\0';
    if ((p.h = client_open()))
        status = run_pings(&p, batch);
    flux_watcher_destroy(p.timer);
    while (!LIST_EMPTY(&p.unanswered))
        flux_future_destroy(LIST_FIRST(&p.unanswered)->f);
    flux_close(p.h);
    free(p.pad);
    return status;
}

static const struct option ping_options[] = {
    { 'r', "rank", "N", "Rank of the service, any (default) or upstream" },
    { 'p', "pad", "N", "Add N bytes to the payload" },
    { 'i', "interval", "N", "Seconds between requests (default 1, 0: none)" },
    { 'c', "count", "N", "Number of requests (default: no end)" },
    { 'b', "batch", NULL, "Send all requests before looking at answers; needs --count" },
    { 'u', "userid", NULL, "Show the userid and roles the service saw" },
    { 0 },
};

const struct command cmd_ping[] = {
    { "ping", "[TARGET]", "Measure round trips to a service", ping_options, 0, 1, COMMAND_TEXT,
      run_ping },
    { 0 },
};
