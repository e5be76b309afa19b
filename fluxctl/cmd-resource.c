/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl resource ...: what there is, what is free, what is drained and why. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/jsonx.h"
#include "client.h"
#include "families.h"
#include "named-format.h"
#include "resource-rows.h"

#define SCHED_TIMEOUT 5. /* seconds; what runs on drained nodes is not worth waiting for longer */

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

static const struct named_format list_formats[] = {
    { "default", "{state:>10} {nnodes:>6} {ncores:>8} {ngpus:>8} {nodelist}", "nodes by state" },
    { "rlist", "{state:>10} {nnodes:>6} {ncores:>8} {ngpus:>8} {rlist}", "cores and GPUs by rank" },
    { 0 },
};

static const struct named_format status_formats[] = {
    { "default", "{state:>10} {up:>2} {nnodes:>6} {nodelist}", "nodes by state" },
    { "long", "{state:>10} {up:>2} {nnodes:>6} {reason:<30.30} {nodelist}",
      "and why they are drained" },
    { 0 },
};

static const struct named_format drain_formats[] = {
    { "default", "{timestamp!D:<19} {state:<9} {ranks:<8} {reason:<30} {nodelist}",
      "when, what, why" },
    { "long", "{timestamp!D:<19} {state:<9} {status:<7} {ranks:<8} {reason:<30} {nodelist}",
      "and whether they are online" },
    { 0 },
};

/* --- options --- */

static bool uses_reason(const struct format *f)
{
    for (size_t i = 0; i < format_nfields(f); i++) {
        if (strcmp(format_field(f, i), "reason") == 0 ||
            strcmp(format_field(f, i), "timestamp") == 0)
            return true;
    }
    return false;
}

/* A word of --states and the states that it stands for. */
struct state_word {
    const char *name;
    unsigned int states;
};

static int parse_states(const char *list, const struct state_word *words, unsigned int *ret)
{
    *ret = 0;
    if (strcmp(list, "help") == 0) {
        for (const struct state_word *w = words; w->name; w++)
            printf("%s%s", w == words ? "" : " ", w->name);
        putchar('\n');
        return 1;
    }
    for (const char *s = list; *s;) {
        size_t len = strcspn(s, ",");
        const struct state_word *w = words;

        while (w->name && (strlen(w->name) != len || strncasecmp(w->name, s, len) != 0))
            w++;
        if (!w->name) {
            complain("--states: '%.*s' is not a state; --states=help lists them", (int)len, s);
            return -1;
        }
        *ret |= w->states;
        s += len + (s[len] == ',');
    }
    return 0;
}

/* Everything a command was told, besides what it is about. */
struct view {
    struct format *format;
    unsigned int states;
    bool explicit; /* states were chosen */
};

static void view_deinit(struct view *v)
{
    format_free(v->format);
}
DEFINE_CLEANUP(struct view *, view_deinit)

static int view_init(struct view *v, const struct cmdline *c, const struct named_format *formats,
                     const struct state_word *words, const char *states)
{
    const struct format_user user = { .tool = "resource",
                                      .part = c->command->name + strlen("resource "),
                                      .formats = formats,
                                      .heading = row_heading,
                                      .things = "resources" };
    int rc = parse_states(cmdline_string(c, "states", states), words, &v->states);

    v->explicit = cmdline_has(c, "states");
    return rc != 0 || !formats ? rc : named_format_get(c, &user, &v->format);
}

static int view_print(const struct view *v, const struct cmdline *c, const struct rows *rows)
{
    if (cmdline_has(c, "json"))
        rows_print_json(rows);
    else
        rows_print(rows, v->format, !cmdline_has(c, "no-header"));
    return EXIT_SUCCESS;
}

/* --- which ranks --- */

static int add_host(const struct rset *all, const char *host, struct idset *ids)
{
    size_t found = 0;

    for (size_t i = 0; i < rset_nnodes(all); i++) {
        const struct rset_rank *rr = rset_nth(all, i);

        if (rr->hostname && strcmp(rr->hostname, host) == 0 && idset_set(ids, rr->rank) == 0)
            found++;
    }
    return found > 0 ? 0 : complain("--include: host %s is not among the resources", host);
}

/* The ranks of --include, or all of them. NULL: has complained. */
static struct idset *included(const struct cmdline *c, const struct rset *all)
{
    const char *s = cmdline_string(c, "include", NULL);
    struct idset *ids = s ? idset_decode(s) : rset_ranks(all);
    CLEANUP(hostlist_destroyp) struct hostlist *hosts = NULL;

    for (unsigned int id = ids ? idset_first(ids) : IDSET_INVALID_ID; id != IDSET_INVALID_ID;
         id = idset_next(ids, id)) {
        if (!rset_find(all, id)) {
            complain("--include: rank %u is not among the resources", id);
            idset_destroy(ids);
            return NULL;
        }
    }
    if (ids)
        return ids;
    if (!s || !(hosts = hostlist_decode(s)) || !(ids = idset_create(0, IDSET_FLAG_AUTOGROW))) {
        complain("--include: '%s' is neither a set of ranks nor a list of hosts", s ? s : "");
        return NULL;
    }
    for (int i = 0; i < hostlist_count(hosts); i++) {
        if (add_host(all, hostlist_nth(hosts, i), ids) != 0) {
            idset_destroy(ids);
            return NULL;
        }
    }
    return ids;
}

/* The set under a key of the answer. NULL: has complained. */
static struct rset *get_set(const json_t *answer, const char *key, bool from_stdin)
{
    struct rset *r = NULL;
    flux_error_t error = { "" };

    if (rset_decode(json_object_get(answer, key), &r, &error) < 0)
        complain("%s: %s: %s",
                 from_stdin ? "--from-stdin takes what the scheduler answers, not this"
                            : "the answer is malformed",
                 key, error.text);
    return r;
}

/* --- list, info, R: as the scheduler sees it --- */

enum { LIST_FREE = 1, LIST_ALLOCATED = 2, LIST_DOWN = 4, LIST_ALL = 8 };

static const struct state_word list_words[] = {
    { "free", LIST_FREE }, { "allocated", LIST_ALLOCATED },      { "down", LIST_DOWN },
    { "all", LIST_ALL },   { "up", LIST_FREE | LIST_ALLOCATED }, { 0 },
};

struct listing {
    struct rset *all, *free, *allocated, *down;
    struct idset *include;
};

static void listing_deinit(struct listing *l)
{
    rset_free(l->all);
    rset_free(l->free);
    rset_free(l->allocated);
    rset_free(l->down);
    idset_destroy(l->include);
}
DEFINE_CLEANUP(struct listing *, listing_deinit)

/* From the scheduler, or with --from-stdin what it would say. -1: has complained. */
static int listing_fetch(struct listing *l, const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const bool from_stdin = cmdline_has(c, "from-stdin");
    json_error_t error;

    if (from_stdin) {
        if (!(answer = json_loadf(stdin, 0, &error)))
            return -complain("--from-stdin: line %d: %s", error.line, error.text);
    } else if (!(h = client_open()) ||
               !(answer = client_call(h, "sched.resource-status", NULL, "list the resources")))
        return -1;
    if (!(l->all = get_set(answer, "all", from_stdin)) ||
        !(l->allocated = get_set(answer, "allocated", from_stdin)) ||
        !(l->down = get_set(answer, "down", from_stdin)) || !(l->include = included(c, l->all)))
        return -1;
    if (rset_copy(l->all, &l->free) < 0 || rset_subtract(l->free, l->allocated) < 0 ||
        rset_subtract(l->free, l->down) < 0)
        return -complain("out of memory");
    return 0;
}

static int listing_rows(const struct listing *l, unsigned int states, struct rows *rows)
{
    const struct {
        unsigned int state;
        const char *name;
        enum row_up up;
        const struct rset *r;
    } parts[] = {
        { LIST_ALL, "all", ROW_MIXED, l->all },
        { LIST_FREE, "free", ROW_UP, l->free },
        { LIST_ALLOCATED, "allocated", ROW_MIXED, l->allocated },
        { LIST_DOWN, "down", ROW_DOWN, l->down },
    };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if ((states & parts[i].state) &&
            rows_add(rows, &(struct row){ .state = parts[i].name, .up = parts[i].up }, parts[i].r,
                     l->include) < 0)
            return complain("out of memory");
    }
    return 0;
}

static void drop_empty(struct rows *rows)
{
    size_t kept = 0;

    for (size_t i = 0; i < rows->count; i++) {
        if (rset_nnodes(rows->rows[i].r) > 0)
            rows->rows[kept++] = rows->rows[i];
        else
            rset_free(rows->rows[i].r);
    }
    rows->count = kept;
}

static int run_list(const struct cmdline *c)
{
    CLEANUP(listing_deinitp) struct listing *l = &(struct listing){ 0 };
    CLEANUP(rows_deinitp) struct rows *rows = &(struct rows){ 0 };
    CLEANUP(view_deinitp) struct view *v = &(struct view){ 0 };
    int rc = view_init(v, c, list_formats, list_words, "free,allocated,down");

    if (rc != 0)
        return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (listing_fetch(l, c) < 0 || listing_rows(l, v->states, rows) != 0)
        return EXIT_FAILURE;
    if (cmdline_has(c, "skip-empty"))
        drop_empty(rows);
    return view_print(v, c, rows);
}

/* All rows in one. NULL: has complained. */
static struct rset *merged(const struct cmdline *c, const char *states, bool *ret_help)
{
    CLEANUP(listing_deinitp) struct listing *l = &(struct listing){ 0 };
    CLEANUP(rows_deinitp) struct rows *rows = &(struct rows){ 0 };
    CLEANUP(view_deinitp) struct view *v = &(struct view){ 0 };
    CLEANUP(rset_freep) struct rset *r = NULL;
    int rc = view_init(v, c, NULL, list_words, states);

    *ret_help = rc > 0;
    if (rc != 0 || listing_fetch(l, c) < 0 || listing_rows(l, v->states, rows) != 0 ||
        rset_new(&r) < 0)
        return NULL;
    for (size_t i = 0; i < rows->count; i++) {
        if (rset_union(r, rows->rows[i].r) < 0) {
            complain("out of memory");
            return NULL;
        }
    }
    rset_set_expiration(r, rset_starttime(l->all), rset_expiration(l->all));
    return TAKE(r);
}

static int run_info(const struct cmdline *c)
{
    bool help;
    CLEANUP(rset_freep) struct rset *r = merged(c, "all", &help);
    size_t nodes, cores, gpus;

    if (!r)
        return help ? EXIT_SUCCESS : EXIT_FAILURE;
    nodes = rset_nnodes(r);
    cores = rset_count(r, "core");
    gpus = rset_count(r, "gpu");
    printf("%zu Node%s, %zu Core%s, %zu GPU%s\n", nodes, plural(nodes), cores, plural(cores), gpus,
           plural(gpus));
    return EXIT_SUCCESS;
}

static int run_R(const struct cmdline *c)
{
    bool help;
    CLEANUP(rset_freep) struct rset *r = merged(c, "all", &help);
    CLEANUP(freep) char *s = r ? rset_encode_string(r) : NULL;

    if (!s)
        return help ? EXIT_SUCCESS : EXIT_FAILURE;
    puts(s);
    return EXIT_SUCCESS;
}

/* --- status and drain without arguments: as the administrator sees it --- */

enum {
    STATUS_ALL = 1,
    STATUS_ONLINE = 2,
    STATUS_OFFLINE = 4,
    STATUS_AVAIL = 8,
    STATUS_EXCLUDE = 16,
    STATUS_DRAINING = 32,
    STATUS_DRAINED = 64,
};

static const struct state_word status_words[] = {
    { "all", STATUS_ALL },
    { "online", STATUS_ONLINE },
    { "offline", STATUS_OFFLINE },
    { "avail", STATUS_AVAIL },
    { "exclude", STATUS_EXCLUDE },
    { "draining", STATUS_DRAINING },
    { "drained", STATUS_DRAINED },
    { "drain", STATUS_DRAINING | STATUS_DRAINED },
    { 0 },
};

struct status {
    json_t *answer;
    struct rset *all;
    struct idset *include, *online, *exclude, *drained;
    struct idset *busy; /* ranks on which something is allocated */
};

static void status_deinit(struct status *s)
{
    json_decref(s->answer);
    rset_free(s->all);
    idset_destroy(s->include);
    idset_destroy(s->online);
    idset_destroy(s->exclude);
    idset_destroy(s->drained);
    idset_destroy(s->busy);
}
DEFINE_CLEANUP(struct status *, status_deinit)

static struct idset *get_ids(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return idset_decode(s ? s : "");
}

/* Ranks that jobs have something of. No answer in time: none, all are called drained. */
static struct idset *busy_ranks(flux_t *h)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(h, "sched.resource-status", NULL, FLUX_NODEID_ANY, 0);
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error;
    json_t *allocated;

    if (f && flux_future_wait_for(f, SCHED_TIMEOUT) == 0 &&
        flux_rpc_get_unpack(f, "{s:o}", "allocated", &allocated) == 0 &&
        rset_decode(allocated, &r, &error) == 0)
        return rset_ranks(r);
    return idset_create(0, IDSET_FLAG_AUTOGROW);
}

static int status_fetch(struct status *s, const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    const char *key;
    json_t *value;

    if (!h ||
        !(s->answer =
              client_call_rank(h, "resource.status", 0, NULL, "get the status of the nodes")) ||
        !(s->all = get_set(s->answer, "R", false)) || !(s->include = included(c, s->all)))
        return -1;
    s->online = get_ids(s->answer, "online");
    s->exclude = get_ids(s->answer, "exclude");
    s->drained = idset_create(0, IDSET_FLAG_AUTOGROW);
    json_object_foreach (json_object_get(s->answer, "drain"), key, value) {
        CLEANUP(idset_destroyp) struct idset *ranks = idset_decode(key);

        if (!ranks || !s->drained || idset_add(s->drained, ranks) < 0)
            return -complain("the answer is malformed: drain");
    }
    s->busy = s->drained && idset_count(s->drained) > 0 ? busy_ranks(h)
                                                        : idset_create(0, IDSET_FLAG_AUTOGROW);
    if (!s->online || !s->exclude || !s->drained || !s->busy)
        return -complain("the answer is malformed");
    return 0;
}

/* a and b, in common; steals neither. NULL: no memory. */
static struct idset *both(const struct idset *a, const struct idset *b)
{
    struct idset *common = a && b ? idset_intersect(a, b) : NULL;

    return common || !a || !b ? common : idset_create(0, IDSET_FLAG_AUTOGROW);
}

/* One row for those that are online, and one with a star for the others. */
static int add_by_online(const struct status *s, struct rows *rows, struct row row,
                         const struct idset *ranks)
{
    CLEANUP(idset_destroyp) struct idset *shown = both(ranks, s->include);
    CLEANUP(idset_destroyp) struct idset *online = both(shown, s->online);
    CLEANUP(idset_destroyp) struct idset *offline = online ? idset_difference(shown, online) : NULL;
    int rc;

    if (!offline)
        return -ENOMEM;
    row.up = ROW_UP;
    rc = rows_add(rows, &row, s->all, online);
    if (rc < 0 || idset_count(offline) == 0)
        return rc;
    row.up = ROW_DOWN;
    row.marked = true;
    return rows_add(rows, &row, s->all, offline);
}

static int add_plain(const struct status *s, struct rows *rows, const struct row *row,
                     const struct idset *ranks)
{
    CLEANUP(idset_destroyp) struct idset *shown = both(ranks, s->include);

    return shown ? rows_add(rows, row, s->all, shown) : -ENOMEM;
}

/* Those ranks of an entry of drain that are busy (draining), or are not (drained). */
static int add_drain(const struct status *s, struct rows *rows, unsigned int state,
                     const struct row *why, const struct idset *ranks)
{
    CLEANUP(idset_destroyp) struct idset *busy = both(ranks, s->busy);
    CLEANUP(idset_destroyp) struct idset *idle = busy ? idset_difference(ranks, busy) : NULL;
    struct row row = *why;

    if (!idle)
        return -ENOMEM;
    row.state = state == STATUS_DRAINING ? "draining" : "drained";
    return add_by_online(s, rows, row, state == STATUS_DRAINING ? busy : idle);
}

static int add_drains(const struct status *s, struct rows *rows, unsigned int state, bool reasons)
{
    const char *key;
    json_t *value;
    int rc = 0;

    if (!reasons)
        return add_drain(s, rows, state, &(struct row){ 0 }, s->drained);
    json_object_foreach (json_object_get(s->answer, "drain"), key, value) {
        CLEANUP(idset_destroyp) struct idset *ranks = idset_decode(key);
        struct row row = {
            .reason = json_string_value(json_object_get(value, "reason")),
            .timestamp = json_number_value(json_object_get(value, "timestamp")),
        };

        if (rc == 0)
            rc = ranks ? add_drain(s, rows, state, &row, ranks) : -ENOMEM;
    }
    return rc;
}

static int status_rows(const struct status *s, unsigned int states, bool reasons, struct rows *rows)
{
    CLEANUP(idset_destroyp) struct idset *all = rset_ranks(s->all);
    CLEANUP(idset_destroyp) struct idset *offline = all ? idset_difference(all, s->online) : NULL;
    CLEANUP(idset_destroyp) struct idset *avail = all ? idset_difference(all, s->exclude) : NULL;
    int rc = 0;

    if (!offline || !avail || idset_subtract(avail, s->drained) < 0)
        return -ENOMEM;
    if (states & STATUS_ALL)
        rc = add_plain(s, rows, &(struct row){ .state = "all" }, all);
    if (rc == 0 && (states & STATUS_ONLINE))
        rc = add_plain(s, rows, &(struct row){ .state = "online", .up = ROW_UP }, s->online);
    if (rc == 0 && (states & STATUS_OFFLINE))
        rc = add_plain(s, rows, &(struct row){ .state = "offline", .up = ROW_DOWN }, offline);
    if (rc == 0 && (states & STATUS_AVAIL))
        rc = add_by_online(s, rows, (struct row){ .state = "avail" }, avail);
    if (rc == 0 && (states & STATUS_EXCLUDE))
        rc = add_by_online(s, rows, (struct row){ .state = "exclude" }, s->exclude);
    if (rc == 0 && (states & STATUS_DRAINING))
        rc = add_drains(s, rows, STATUS_DRAINING, reasons);
    if (rc == 0 && (states & STATUS_DRAINED))
        rc = add_drains(s, rows, STATUS_DRAINED, reasons);
    return rc;
}

static int show_status(const struct cmdline *c, const struct named_format *formats,
                       const char *states, bool all_reasons)
{
    CLEANUP(status_deinitp) struct status *s = &(struct status){ 0 };
    CLEANUP(rows_deinitp) struct rows *rows = &(struct rows){ 0 };
    CLEANUP(view_deinitp) struct view *v = &(struct view){ 0 };
    int rc = view_init(v, c, formats, status_words, states);
    bool reasons;

    if (rc != 0)
        return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (status_fetch(s, c) < 0)
        return EXIT_FAILURE;
    reasons = all_reasons || cmdline_has(c, "json") || uses_reason(v->format);
    if (status_rows(s, v->states, reasons, rows) < 0)
        return complain("out of memory");
    if (!v->explicit || reasons || cmdline_has(c, "skip-empty"))
        drop_empty(rows);
    return view_print(v, c, rows);
}

static int run_status(const struct cmdline *c)
{
    return show_status(c, status_formats, "avail,exclude,draining,drained", false);
}

/* --- drain, undrain --- */

static const char *drain_mode(const struct cmdline *c)
{
    if (cmdline_has(c, "update"))
        return "update";
    switch (cmdline_count(c, "force")) {
    case 0:
        return "refuse";
    case 1:
        return "overwrite";
    default:
        return "force-overwrite";
    }
}

static int change(const struct cmdline *c, const char *topic, const char *mode, const char *what)
{
    CLEANUP(freep) char *reason = cmdline_join(c, 1);
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = NULL;

    if (!h)
        return EXIT_FAILURE;
    answer = client_call_rank(
        h, topic, 0,
        json_pack("{s:s s:s s:s*}", "targets", c->argv[0], "mode", mode, "reason", reason), what);
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_drain(const struct cmdline *c)
{
    static const char *const of_list[] = { "format", "include", "json", "no-header", "states" };

    if (c->argc == 0 && (cmdline_has(c, "force") || cmdline_has(c, "update")))
        return complain("which nodes are to be drained?");
    if (c->argc == 0)
        return show_status(c, drain_formats, "drain", true);
    for (size_t i = 0; i < ARRAY_SIZE(of_list); i++) {
        if (cmdline_has(c, of_list[i]))
            return complain("--%s is for the list of drained nodes, not for draining", of_list[i]);
    }
    if (refuse_both(c, "force", "update") < 0)
        return EXIT_FAILURE;
    return change(c, "resource.drain", drain_mode(c), "drain these nodes");
}

static int run_undrain(const struct cmdline *c)
{
    return change(c, "resource.undrain", cmdline_has(c, "force") ? "force" : "refuse",
                  "undrain these nodes");
}

/* --- tables --- */

#define OPTION_STATES                                                    \
    {                                                                    \
        's', "states", "STATE,...", "Only these states; help lists them" \
    }
#define OPTION_INCLUDE                                               \
    {                                                                \
        'i', "include", "NODES", "Only these nodes (ranks or names)" \
    }
#define OPTION_FORMAT                                                                 \
    {                                                                                 \
        'o', "format", "FORMAT", "Output format, or the name of one; help lists them" \
    }
#define OPTION_HEADER                                 \
    {                                                 \
        'n', "no-header", NULL, "No line of headings" \
    }
#define OPTION_EMPTY                                    \
    {                                                   \
        0, "skip-empty", NULL, "No lines without nodes" \
    }
#define OPTION_JSON                   \
    {                                 \
        0, "json", NULL, "Print JSON" \
    }
#define OPTION_STDIN                                                          \
    {                                                                         \
        0, "from-stdin", NULL, "Read what the scheduler would say from stdin" \
    }

static const struct option list_options[] = {
    OPTION_FORMAT, OPTION_HEADER, OPTION_STATES, OPTION_INCLUDE,
    OPTION_EMPTY,  OPTION_JSON,   OPTION_STDIN,  { 0 },
};
static const struct option status_options[] = {
    OPTION_FORMAT, OPTION_HEADER, OPTION_STATES, OPTION_INCLUDE, OPTION_EMPTY, OPTION_JSON, { 0 },
};
static const struct option set_options[] = { OPTION_STATES, OPTION_INCLUDE, OPTION_STDIN, { 0 } };
static const struct option drain_options[] = {
    { 'f', "force", NULL, "Overwrite the reason of drained nodes; twice: and the time" },
    { 'u', "update", NULL, "Leave nodes that are drained already as they are" },
    OPTION_FORMAT,
    OPTION_HEADER,
    OPTION_STATES,
    OPTION_INCLUDE,
    OPTION_JSON,
    { 0 },
};
static const struct option undrain_options[] = {
    { 'f', "force", NULL, "Let nodes that are not drained be no error" },
    { 0 },
};

const struct command cmd_resource[] = {
    { "resource R", NULL, "Print the resources as RFC 20 has them", set_options, 0, 0, 0, run_R },
    { "resource drain", "[NODES [REASON...]]", "Keep new jobs off nodes, or list drained ones",
      drain_options, 0, -1, COMMAND_TEXT, run_drain },
    { "resource info", NULL, "Count nodes, cores and gpus", set_options, 0, 0, 0, run_info },
    { "resource list", NULL, "Show free, allocated and down resources", list_options, 0, 0, 0,
      run_list },
    { "resource status", NULL, "Show which nodes are available, excluded, drained", status_options,
      0, 0, 0, run_status },
    { "resource undrain", "NODES [REASON...]", "Let jobs on nodes again", undrain_options, 1, -1,
      COMMAND_TEXT, run_undrain },
    { 0 },
};
