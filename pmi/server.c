/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The state of a PMI program on one server. Refuses what RFC 13 calls a protocol error; answers
 * with rc=-1 what a correct client may ask but cannot have: keys that were not put, that are put
 * twice or are too many, names of services and more processes. Each client:
 *
 *     NEW --init--> READY --barrier_in--> BARRIER --done--> READY --finalize--> NEW
 *
 * and "mcmd=" of several lines, which is swallowed up to its "endcmd" and then refused. */
#include "pmi/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/errorx.h"

#define KEYS_PER_RANK 256
#define KEYS_EXTRA    16 /* for programs of few ranks */

enum client_state { CLIENT_NEW, CLIENT_READY, CLIENT_BARRIER };

struct client {
    uint32_t rank;
    enum client_state state;
    bool in_mcmd;
};

struct pmi_server {
    uint32_t size;
    int appnum;
    char *kvsname;
    struct pmi_server_ops ops;
    void *arg;
    json_t *keys;    /* can be read */
    json_t *pending; /* put here since the last barrier */
    json_t *mine;    /* all that were put here */
    size_t waiting;
    size_t nclients;
    struct client *clients;
};

struct request {
    struct pmi_server *s;
    struct client *client;
    const struct pmi_msg *msg;
    flux_error_t *error;
};

__attribute__((format(printf, 3, 4))) static int answer(struct pmi_server *s, uint32_t rank,
                                                        const char *fmt, ...)
{
    char line[PMI_LINE_MAX];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(line) - 1)
        return -EMSGSIZE;
    strcpy(line + n, "\n");
    return s->ops.send(rank, line, s->arg);
}

/* --- requests --- */

static int do_init(const struct request *rq)
{
    int version;

    if (pmi_msg_get_int(rq->msg, "pmi_version", &version) < 0)
        return errorx_fail(rq->error, EPROTO, "init without a version");
    if (version < 1)
        return answer(rq->s, rq->client->rank, "cmd=response_to_init rc=-1 msg=unknown_version");
    if (rq->client->state == CLIENT_BARRIER)
        rq->s->waiting--;
    rq->client->state = CLIENT_READY;
    return answer(rq->s, rq->client->rank,
                  "cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1");
}

static int do_get_maxes(const struct request *rq)
{
    return answer(rq->s, rq->client->rank,
                  "cmd=maxes rc=0 kvsname_max=%d keylen_max=%d vallen_max=%d", PMI_NAME_MAX,
                  PMI_KEY_MAX, PMI_VALUE_MAX);
}

static int do_get_appnum(const struct request *rq)
{
    return answer(rq->s, rq->client->rank, "cmd=appnum rc=0 appnum=%d", rq->s->appnum);
}

static int do_get_my_kvsname(const struct request *rq)
{
    return answer(rq->s, rq->client->rank, "cmd=my_kvsname rc=0 kvsname=%s", rq->s->kvsname);
}

static int do_get_universe_size(const struct request *rq)
{
    return answer(rq->s, rq->client->rank, "cmd=universe_size rc=0 size=%u", rq->s->size);
}

static int refuse(const struct request *rq, const char *cmd, const char *why)
{
    return answer(rq->s, rq->client->rank, "cmd=%s rc=-1 msg=%s", cmd, why);
}

/* The key of a put or get if it names our key-value space; NULL with the reason in *ret_why. */
static const char *checked_key(const struct request *rq, const char **ret_why)
{
    const char *name = pmi_msg_get(rq->msg, "kvsname");
    const char *key = pmi_msg_get(rq->msg, "key");

    *ret_why = !name || strcmp(name, rq->s->kvsname) != 0 ? "unknown_kvsname" : "invalid_key";
    if (!name || strcmp(name, rq->s->kvsname) != 0 || !key || !pmi_word_valid(key, PMI_KEY_MAX))
        return NULL;
    return key;
}

static int put(struct pmi_server *s, const char *key, const char *value, const char **ret_why)
{
    const char *old = json_string_value(json_object_get(s->mine, key));

    *ret_why = "duplicate_key";
    if (old || json_object_get(s->keys, key))
        return old && strcmp(old, value) == 0 ? 0 : -EEXIST;
    *ret_why = "too_many_keys";
    if (json_object_size(s->mine) >= s->nclients * KEYS_PER_RANK + KEYS_EXTRA)
        return -ENOSPC;
    *ret_why = "out_of_memory";
    if (json_object_set_new(s->mine, key, json_string(value)) < 0 ||
        json_object_set_new(s->pending, key, json_string(value)) < 0)
        return -ENOMEM;
    return 0;
}

static int do_put(const struct request *rq)
{
    const char *value = pmi_msg_get(rq->msg, "value");
    const char *why;
    const char *key = checked_key(rq, &why);

    if (key && (!value || strlen(value) >= PMI_VALUE_MAX))
        return refuse(rq, "put_result", "invalid_value");
    if (!key || put(rq->s, key, value, &why) < 0)
        return refuse(rq, "put_result", why);
    return answer(rq->s, rq->client->rank, "cmd=put_result rc=0");
}

static int do_get(const struct request *rq)
{
    const char *why;
    const char *key = checked_key(rq, &why);
    const char *value = key ? json_string_value(json_object_get(rq->s->keys, key)) : NULL;

    if (!key)
        return refuse(rq, "get_result", why);
    if (!value && strncmp(key, "PMI_", 4) == 0)
        value = "";
    if (!value)
        return refuse(rq, "get_result", "key_not_found");
    return answer(rq->s, rq->client->rank, "cmd=get_result rc=0 value=%s", value);
}

static int do_barrier_in(const struct request *rq)
{
    struct pmi_server *s = rq->s;

    rq->client->state = CLIENT_BARRIER;
    if (++s->waiting < s->nclients)
        return 0;
    if (!s->ops.barrier)
        return pmi_server_barrier_done(s, 0, NULL);
    s->ops.barrier(s, s->pending, s->arg);
    return 0;
}

static int do_finalize(const struct request *rq)
{
    rq->client->state = CLIENT_NEW;
    return answer(rq->s, rq->client->rank, "cmd=finalize_ack rc=0");
}

static int do_abort(const struct request *rq)
{
    int code = 1;

    (void)pmi_msg_get_int(rq->msg, "exitcode", &code);
    (void)answer(rq->s, rq->client->rank, "%s", "");
    if (rq->s->ops.abort)
        rq->s->ops.abort(rq->client->rank, code, rq->s->arg);
    return 0;
}

static int do_publish(const struct request *rq)
{
    return refuse(rq, "publish_result", "not_supported");
}

static int do_unpublish(const struct request *rq)
{
    return refuse(rq, "unpublish_result", "not_supported");
}

static int do_lookup(const struct request *rq)
{
    return refuse(rq, "lookup_result", "not_supported");
}

static const struct {
    const char *cmd;
    int (*fn)(const struct request *rq);
} commands[] = {
    { "abort", do_abort },
    { "barrier_in", do_barrier_in },
    { "finalize", do_finalize },
    { "get", do_get },
    { "get_appnum", do_get_appnum },
    { "get_maxes", do_get_maxes },
    { "get_my_kvsname", do_get_my_kvsname },
    { "get_universe_size", do_get_universe_size },
    { "init", do_init },
    { "lookup_name", do_lookup },
    { "publish_name", do_publish },
    { "put", do_put },
    { "unpublish_name", do_unpublish },
};

static int dispatch(const struct request *rq)
{
    const char *cmd = pmi_msg_get(rq->msg, "cmd");
    const bool is_init = cmd && strcmp(cmd, "init") == 0;

    if (!cmd)
        return errorx_fail(rq->error, EPROTO, "a request without a command");
    if (rq->client->state == CLIENT_BARRIER && !is_init)
        return errorx_fail(rq->error, EPROTO, "%s within a barrier", cmd);
    if (rq->client->state == CLIENT_NEW && !is_init && strcmp(cmd, "abort") != 0)
        return errorx_fail(rq->error, EPROTO, "%s before init", cmd);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].cmd, cmd) == 0)
            return commands[i].fn(rq);
    }
    return errorx_fail(rq->error, EPROTO, "unknown command %.32s", cmd);
}

static struct client *find(const struct pmi_server *s, uint32_t rank)
{
    size_t low = 0, high = s->nclients;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (s->clients[mid].rank == rank)
            return &s->clients[mid];
        if (s->clients[mid].rank < rank)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static int swallow_mcmd(struct pmi_server *s, struct client *c, const char *line)
{
    c->in_mcmd = strcmp(line, "endcmd") != 0;
    return c->in_mcmd ? 0 : answer(s, c->rank, "cmd=spawn_result rc=-1 msg=not_supported");
}

int pmi_server_request(struct pmi_server *s, uint32_t rank, const char *line, flux_error_t *error)
{
    struct client *c = find(s, rank);
    struct pmi_msg m;
    const struct request rq = { s, c, &m, error };
    int rc;

    if (!c)
        return errorx_fail(error, ENOENT, "rank %u is not served here", rank);
    if (c->in_mcmd)
        return swallow_mcmd(s, c, line);
    if (c->state == CLIENT_READY && strncmp(line, "mcmd=", 5) == 0) {
        c->in_mcmd = true;
        return 0;
    }
    rc = pmi_msg_parse(line, strlen(line), &m);
    if (rc < 0)
        return errorx_fail(error, -rc, "a line that is %s",
                           rc == -EMSGSIZE ? "too long" : "no list of key=value");
    return dispatch(&rq);
}

/* --- barrier --- */

static int check_keys(json_t *keys)
{
    const char *key;
    json_t *value;

    if (keys && !json_is_object(keys))
        return -EINVAL;
    json_object_foreach (keys, key, value) {
        if (!pmi_word_valid(key, PMI_KEY_MAX) || !json_is_string(value) ||
            json_string_length(value) >= PMI_VALUE_MAX)
            return -EINVAL;
    }
    return 0;
}

int pmi_server_barrier_done(struct pmi_server *s, int rc, json_t *keys)
{
    int result = check_keys(keys);

    if (result < 0 || s->waiting < s->nclients)
        return -EINVAL;
    if (json_object_update(s->keys, s->pending) < 0 ||
        (keys && json_object_update(s->keys, keys) < 0))
        rc = -ENOMEM;
    (void)json_object_clear(s->pending);
    s->waiting = 0;
    for (size_t i = 0; i < s->nclients; i++)
        s->clients[i].state = CLIENT_READY;
    for (size_t i = 0; i < s->nclients; i++) {
        const int sent = answer(s, s->clients[i].rank, "cmd=barrier_out rc=%d", rc ? -1 : 0);

        if (result == 0)
            result = sent;
    }
    return result;
}

size_t pmi_server_waiting(const struct pmi_server *s)
{
    return s->waiting;
}

/* --- life cycle --- */

static int make_clients(struct pmi_server *s, const struct pmi_server_options *o)
{
    s->nclients = o->ranks ? o->nranks : o->size;
    if (s->nclients == 0)
        return -EINVAL;
    s->clients = calloc(s->nclients, sizeof(*s->clients));
    if (!s->clients)
        return -ENOMEM;
    for (size_t i = 0; i < s->nclients; i++) {
        s->clients[i].rank = o->ranks ? o->ranks[i] : (uint32_t)i;
        if (s->clients[i].rank >= o->size ||
            (i > 0 && s->clients[i].rank <= s->clients[i - 1].rank))
            return -EINVAL;
    }
    return 0;
}

int pmi_server_new(const struct pmi_server_options *o, struct pmi_server **ret)
{
    CLEANUP(pmi_server_freep) struct pmi_server *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return -ENOMEM;
    if (!pmi_word_valid(o->kvsname, PMI_NAME_MAX) ||
        (o->mapping && !pmi_value_valid(o->mapping, PMI_VALUE_MAX)))
        return -EINVAL;
    s->size = o->size;
    s->appnum = o->appnum;
    s->ops = o->ops;
    s->arg = o->arg;
    s->kvsname = strdup(o->kvsname);
    s->keys = json_object();
    s->pending = json_object();
    s->mine = json_object();
    if (!s->kvsname || !s->keys || !s->pending || !s->mine)
        return -ENOMEM;
    if (o->mapping &&
        json_object_set_new(s->keys, "PMI_process_mapping", json_string(o->mapping)) < 0)
        return -ENOMEM;
    if ((rc = make_clients(s, o)) < 0)
        return rc;
    *ret = TAKE(s);
    return 0;
}

struct pmi_server *pmi_server_free(struct pmi_server *s)
{
    if (s) {
        free(s->clients);
        json_decref(s->mine);
        json_decref(s->pending);
        json_decref(s->keys);
        free(s->kvsname);
        free(s);
    }
    return NULL;
}
