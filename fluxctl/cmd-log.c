/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl dmesg, logger: read and write the log of the instance. That of this node can be read
 * without a running instance, because that is when logs are read: the files are found beside the
 * socket that FLUX_URI names, and the journal needs nobody. Those of other nodes are read there and
 * merged. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "color.h"
#include "families.h"
#include "log-files.h"
#include "log-journal.h"
#include "log-nodes.h"
#include "log-print.h"
#include "ranks.h"

/* The attribute that says when the log was cleared, in microseconds since 1970. Nothing is removed
 * from the journal or the files: dmesg hides what is older. */
#define CLEARED "log-cleared"

/* Of each node, when the logs of several are merged and --tail does not say. */
#define TAIL_MERGED 10000
#define TIMEOUT     "10s"

struct view {
    int level; /* records above it are left out */
    const char *service;
    uint64_t since_usec; /* and older ones */
    struct log_printer printer;
    bool for_merging; /* say when all were printed */
    uint32_t tail;    /* of what there is only so many; 0: all */
    struct log_record *latest;
    size_t nlatest;      /* in all; the ring has the last `tail` */
    bool live;           /* all that there were have been printed */
    bool any;            /* record was seen, shown or not */
    uint64_t *last_usec; /* of the last record seen, by rank */
    uint32_t size;
};

static void print_record(struct view *v, const struct log_record *r)
{
    log_print(&v->printer, r, stdout);
    if (v->live)
        output_flush();
}

static void keep_latest(struct view *v, const struct log_record *r)
{
    struct log_record *slot = &v->latest[v->nlatest++ % v->tail];

    log_record_deinit(slot);
    *slot = *r;
    slot->message = strdup(r->message);
}

static void print_latest(struct view *v)
{
    const size_t n = v->nlatest < v->tail ? v->nlatest : v->tail;

    for (size_t i = v->nlatest - n; i < v->nlatest; i++) {
        struct log_record *r = &v->latest[i % v->tail];

        if (r->message)
            print_record(v, r);
        log_record_deinit(r);
    }
    v->nlatest = 0;
}

static void go_live(struct view *v)
{
    if (v->latest)
        print_latest(v);
    v->live = true;
    if (v->for_merging)
        puts("{}");
    output_flush();
}

static void note_time(struct view *v, const struct log_record *r)
{
    uint32_t rank = 0;

    if (v->size > 1 && (number_parse_u32(r->rank, &rank) < 0 || rank >= v->size))
        return;
    if (v->last_usec && r->usec > v->last_usec[rank])
        v->last_usec[rank] = r->usec;
}

static void on_record(const struct log_record *r, void *arg)
{
    struct view *v = arg;

    if (!r) {
        go_live(v);
        return;
    }
    v->any = true;
    note_time(v, r);
    if (r->level > v->level || r->usec <= v->since_usec ||
        (v->service && strcmp(v->service, r->service) != 0))
        return;
    if (v->latest && !v->live)
        keep_latest(v, r);
    else
        print_record(v, r);
}

/* The socket of the instance FLUX_URI names, and RUNDIR/log beside it. */
static const char *socket_path(void)
{
    const char *uri = getenv("FLUX_URI");

    return uri && strncmp(uri, "local://", 8) == 0 ? uri + 8 : "/run/flux/local";
}

static void log_dir(char *buf, size_t size)
{
    const char *path = socket_path(), *slash = strrchr(path, '/');

    snprintf(buf, size, "%.*s/log", slash ? (int)(slash - path) : 0, path);
}

/* Of the router, if it is there: h may be NULL. */
static const char *attribute(flux_t *h, const char *name, const char *fallback)
{
    const char *s = h ? flux_attr_get(h, name) : NULL;

    return s ? s : fallback;
}

static uint64_t cleared_usec(flux_t *h)
{
    uint64_t usec;

    return number_parse_u64(attribute(h, CLEARED, "0"), UINT64_MAX, &usec) < 0 ? 0 : usec;
}

/* --- what is hidden --- */

/* Hide what is not newer than this. */
static int clear(flux_t *h, const struct idset *ranks, uint64_t usec)
{
    char text[96];
    const struct ranks_query q = {
        .h = h, .ranks = ranks, .topic = "attr.set", .payload = text, .what = "clear its log"
    };

    snprintf(text, sizeof(text), "{\"name\":\"" CLEARED "\",\"value\":\"%" PRIu64 "\"}", usec);
    return ranks_ask(&q);
}

static int clear_seen(flux_t *h, const struct idset *ranks, const struct view *v)
{
    int status = EXIT_SUCCESS;

    for (unsigned int rank = idset_first(ranks); rank != IDSET_INVALID_ID;
         rank = idset_next(ranks, rank)) {
        const uint64_t usec = v->last_usec[v->size > 1 ? rank : 0];
        CLEANUP(idset_destroyp) struct idset *one = idset_create(0, IDSET_FLAG_AUTOGROW);

        if (usec > 0 && (!one || idset_set(one, rank) < 0 || clear(h, one, usec) != EXIT_SUCCESS))
            status = EXIT_FAILURE;
    }
    return status;
}

/* --- reading --- */

/* Of a router that does not admit us, or is not there, the socket's owner. */
static bool is_owner(flux_t *h)
{
    const char *owner = attribute(h, "security.owner", NULL);
    struct stat st;
    char uid[16];

    if (!owner)
        return stat(socket_path(), &st) == 0 && st.st_uid == geteuid();
    snprintf(uid, sizeof(uid), "%u", (unsigned int)geteuid());
    return strcmp(owner, uid) == 0;
}

static int complain_hidden(void)
{
    return complain("the journal shows nothing of this instance to user %u: the instance owner, "
                    "root and the group systemd-journal may read it",
                    (unsigned int)geteuid());
}

static void note_any(const struct log_record *r, void *arg)
{
    bool *any = arg;

    *any = *any || r;
}

/* Who follows is told at once; who reads, when there was nothing. */
static bool is_hidden(const char *instance, const char *owner)
{
    bool any = false;

    return log_journal_read(instance, owner, 0, note_any, &any) == 0 && !any;
}

static int read_here(flux_t *h, bool follow, struct view *v)
{
    const char *instance = attribute(h, "instance-name", "flux");
    const char *owner = attribute(h, "security.owner", "0");
    char dir[PATH_MAX];
    int rc;

    log_dir(dir, sizeof(dir));
    if (access(dir, R_OK) < 0 && errno == EACCES)
        return complain("the log of this instance, in %s, is readable for its owner only", dir);
    if (access(dir, R_OK) == 0) {
        rc = log_files_read(dir, follow, on_record, v);
        return rc < 0 ? complain("cannot read the log in %s: %s", dir, strerror(-rc))
                      : EXIT_SUCCESS;
    }
    if (follow && !is_owner(h) && is_hidden(instance, owner))
        return complain_hidden();
    rc = log_journal_read(instance, owner, follow, on_record, v);
    if (rc == -ENOSYS)
        return complain("there is no log in %s, and libsystemd, which could read the journal, is "
                        "not installed",
                        dir);
    if (rc < 0)
        return complain("cannot read the journal: %s", strerror(-rc));
    if (!v->any && !is_owner(h))
        return complain_hidden();
    return EXIT_SUCCESS;
}

static json_t *remote_arguments(const struct cmdline *c, const struct view *v)
{
    json_t *o = json_pack("[s, s, s, s, s]", "dmesg", "--node-records", "--level",
                          cmdline_string(c, "level", "debug"), "--tail");
    char tail[16];

    (void)snprintf(tail, sizeof(tail), "%u", v->tail ? v->tail : TAIL_MERGED);
    (void)json_array_append_new(o, json_string(tail));
    if (v->service) {
        (void)json_array_append_new(o, json_string("--service"));
        (void)json_array_append_new(o, json_string(v->service));
    }
    if (cmdline_has(c, "new"))
        (void)json_array_append_new(o, json_string("--new"));
    else if (cmdline_has(c, "follow"))
        (void)json_array_append_new(o, json_string("--follow"));
    return o;
}

/* What is hidden on a node, it hides itself. */
static int read_nodes(flux_t *h, const struct cmdline *c, const struct idset *ranks, struct view *v)
{
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = ranks_hosts(h);
    CLEANUP(json_decrefp) json_t *arguments = remote_arguments(c, v);
    struct log_nodes_query q = { .h = h,
                                 .ranks = ranks,
                                 .hosts = hosts,
                                 .arguments = arguments,
                                 .follow = cmdline_has(c, "follow") || cmdline_has(c, "new") };

    if (!hosts ||
        parse_duration(cmdline_string(c, "timeout", TIMEOUT), "--timeout", &q.timeout) < 0)
        return EXIT_FAILURE;
    if (q.timeout == 0.)
        q.timeout = -1.;
    return log_nodes_read(&q, on_record, v);
}

/* 0, or -1: has complained. */
static int view_init(struct view *v, const struct cmdline *c)
{
    const char *level = cmdline_string(c, "level", "debug");

    *v = (struct view){ .service = cmdline_string(c, "service", NULL),
                        .for_merging = cmdline_has(c, "node-records"),
                        .level = log_level_parse(level) };
    if (v->level < 0) {
        complain("--level must be emerg, alert, crit, err, warning, notice, info or debug, "
                 "not '%s'",
                 level);
        return -1;
    }
    if (refuse_both(c, "clear", "follow") < 0 || refuse_both(c, "read-clear", "follow") < 0 ||
        refuse_both(c, "read-clear", "new") < 0 || refuse_both(c, "human", "json") < 0 ||
        refuse_both(c, "all", "rank") < 0 || color_parse(c, &v->printer.colors) < 0)
        return -1;
    if (cmdline_has(c, "tail") && (number_parse_u32(cmdline_string(c, "tail", ""), &v->tail) < 0 ||
                                   v->tail == 0 || v->tail > 100000000)) {
        complain("--tail must be a number of records, not '%s'", cmdline_string(c, "tail", ""));
        return -1;
    }
    if (cmdline_has(c, "human"))
        v->printer.format = LOG_FORMAT_HUMAN;
    if (cmdline_has(c, "json") || v->for_merging)
        v->printer.format = LOG_FORMAT_JSON;
    return 0;
}

static void view_deinit(struct view *v)
{
    free(v->latest);
    free(v->last_usec);
}

/* Show what is newer than this. */
static uint64_t since(const struct cmdline *c, flux_t *h)
{
    uint64_t usec = cleared_usec(h), after;

    if (number_parse_u64(cmdline_string(c, "after", "0"), UINT64_MAX, &after) == 0 && after > usec)
        usec = after;
    else if (cmdline_has(c, "new"))
        usec = (uint64_t)(walltime() * 1E6);
    return usec;
}

static int show_here(const struct cmdline *c, struct view *v)
{
    CLEANUP(flux_closep) flux_t *h = flux_open(NULL, 0);
    int status;

    v->size = 1;
    v->last_usec = calloc(1, sizeof(*v->last_usec));
    v->latest = v->tail ? calloc(v->tail, sizeof(*v->latest)) : NULL;
    if (!v->last_usec || (v->tail && !v->latest))
        return complain("out of memory");
    v->since_usec = since(c, h);
    status = read_here(h, cmdline_has(c, "follow") || cmdline_has(c, "new"), v);
    return status;
}

static int show_nodes(const struct cmdline *c, flux_t *h, const struct idset *ranks, struct view *v)
{
    int status;

    if (flux_get_size(h, &v->size) < 0)
        return complain("cannot get the size of the instance: %s", strerror(errno));
    v->last_usec = calloc(v->size, sizeof(*v->last_usec));
    if (!v->last_usec)
        return complain("out of memory");
    status = read_nodes(h, c, ranks, v);
    return status == EXIT_SUCCESS && cmdline_has(c, "read-clear") ? clear_seen(h, ranks, v)
                                                                  : status;
}

/* The rank of this node. NULL: has complained. */
static struct idset *this_rank(flux_t *h)
{
    CLEANUP(idset_destroyp) struct idset *ranks = idset_create(0, IDSET_FLAG_AUTOGROW);
    uint32_t rank;

    if (ranks && flux_get_rank(h, &rank) == 0 && idset_set(ranks, rank) == 0)
        return TAKE(ranks);
    complain("cannot get the rank of this node: %s", strerror(errno));
    return NULL;
}

static int run_dmesg(const struct cmdline *c)
{
    const char *which = cmdline_has(c, "all") ? "all" : cmdline_string(c, "rank", NULL);
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    struct view v;
    int status;

    if (view_init(&v, c) < 0)
        return EXIT_FAILURE;
    if (!which && !cmdline_has(c, "clear") && !cmdline_has(c, "read-clear"))
        status = show_here(c, &v); /* the instance may be down */
    else if (!(h = client_open()) || !(ranks = which ? ranks_parse(h, which) : this_rank(h)))
        status = EXIT_FAILURE;
    else if (cmdline_has(c, "clear"))
        status = clear(h, ranks, (uint64_t)(walltime() * 1E6));
    else if (which)
        status = show_nodes(c, h, ranks, &v);
    else if ((status = show_here(c, &v)) == EXIT_SUCCESS)
        status = clear_seen(h, ranks, &v);
    view_deinit(&v);
    return status;
}

static int run_logger(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(freep) char *text = cmdline_join(c, 0);
    const char *severity = cmdline_string(c, "severity", "info");
    int level = log_level_parse(severity);

    if (level < 0)
        return complain("--severity must be emerg, alert, crit, err, warning, notice, info or "
                        "debug, not '%s'",
                        severity);
    if (!text)
        return complain("out of memory");
    if (!(h = client_open()))
        return EXIT_FAILURE;
    flux_log_set_appname(h, cmdline_string(c, "appname", "logger"));
    if (flux_log(h, level, "%s", text) < 0)
        return complain("cannot log: %s", strerror(errno));
    return EXIT_SUCCESS;
}

static const struct option dmesg_options[] = {
    { 'a', "all", NULL, "Of all nodes, merged" },
    { 'r', "rank", "RANKS", "Of these ranks (0-3,7) or hosts (node[0-3]), merged" },
    { 'C', "clear", NULL, "Show nothing, and from now on newer records only" },
    { 'c', "read-clear", NULL, "Show the log, and from now on newer records only" },
    { 'f', "follow", NULL, "Go on with records as they are written" },
    { 'n', "new", NULL, "Only what is written from now on, as it is written" },
    { 'H', "human", NULL, "Local time, and the seconds that passed between records" },
    { 'l', "level", "LEVEL", "Leave out what is less urgent than this" },
    { 's', "service", "NAME", "Records of one service" },
    { 0, "tail", "N", "Of what there is, the last N records (of each node)" },
    { 0, "timeout", "TIME", "How long a node may be silent before it is left out (" TIMEOUT ")" },
    { 'L', "color", "WHEN", "Colors: always (default if given), never or auto (default)",
      OPTION_OPTIONAL_ARG },
    { 0, "json", NULL, "Print records as JSON, one a line" },
    { 0, "after", "USEC", "For --rank: what is newer than this", OPTION_HIDDEN },
    { 0, "node-records", NULL, "For --rank: JSON, and {} at the end of what there is",
      OPTION_HIDDEN },
    { 0 },
};
static const struct option logger_options[] = {
    { 's', "severity", "LEVEL", "emerg to debug (default info)" },
    { 'n', "appname", "NAME", "Name of the program (default logger)" },
    { 0 },
};

const struct command cmd_log[] = {
    { "dmesg", NULL, "Print the log of the instance", dmesg_options, 0, 0, 0, run_dmesg },
    { "logger", "MESSAGE...", "Write to the log of the instance", logger_options, 1, -1, 0,
      run_logger },
    { 0 },
};
