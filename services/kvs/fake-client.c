/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See fake-client.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "base/base64.h"
#include "kvs/fake-client.h"

int fake_setup(void **state)
{
    *state = fake_new(FAKE_CACHE);
    return 0;
}

int fake_teardown(void **state)
{
    fake_free(*state);
    return 0;
}

/* --- transactions */

static void on_done(struct txn *t, void *arg)
{
    struct result *r = arg;

    r->done = true;
    r->err = t->err;
    r->seq = t->rootseq;
    blobref_format(DIGEST_BLAKE2B, t->rootref, r->rootref);
    txn_free(t);
}

static struct result *begin(struct fake *f, struct txn *t)
{
    struct result *r = calloc(1, sizeof(*r));

    t->done = on_done;
    t->arg = r;
    commit_submit(fake_kvs(f), t);
    return r;
}

static int finish(struct fake *f, struct result *r)
{
    int err;

    fake_run(f);
    assert_true(r->done);
    err = r->err;
    free(r);
    return err;
}

static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_t *o;

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    o = json_loads(copy, JSON_DECODE_ANY, NULL);
    assert_non_null(o);
    free(copy);
    return o;
}

static int new_commit(struct fake *f, const char *ns, int flags, json_t *ops, struct txn **t)
{
    struct caller who = { .userid = FAKE_OWNER, .is_owner = true };
    flux_error_t error;
    int rc = txn_new_commit(fake_kvs(f), ns, flags, ops, &who, t, &error);

    json_decref(ops);
    return rc;
}

struct result *fake_begin(struct fake *f, const char *ns, int flags, const char *ops)
{
    struct txn *t;

    assert_int_equal(new_commit(f, ns, flags, parse(ops), &t), 0);
    return begin(f, t);
}

static int commit_ops(struct fake *f, const char *ns, json_t *ops)
{
    struct txn *t;
    int rc = new_commit(f, ns, 0, ops, &t);

    return rc < 0 ? rc : finish(f, begin(f, t));
}

int fake_commit(struct fake *f, const char *ns, const char *ops)
{
    return commit_ops(f, ns, parse(ops));
}

static int put(struct fake *f, const char *ns, int flags, const char *key, const char *value)
{
    size_t len;
    char *text = base64_encode(value, strlen(value), &len);
    json_t *ops = json_pack("[{s:s s:i s:{s:i s:s s:s}}]", "key", key, "flags", flags, "dirent",
                            "ver", 1, "type", "val", "data", text);

    free(text);
    return commit_ops(f, ns, ops);
}

int fake_put(struct fake *f, const char *ns, const char *key, const char *value)
{
    return put(f, ns, 0, key, value);
}

int fake_append(struct fake *f, const char *ns, const char *key, const char *value)
{
    return put(f, ns, FLUX_KVS_APPEND, key, value);
}

int fake_unlink(struct fake *f, const char *ns, const char *key)
{
    return commit_ops(f, ns, json_pack("[{s:s s:i s:n}]", "key", key, "flags", 0, "dirent"));
}

int fake_create(struct fake *f, const char *ns, uint32_t owner)
{
    flux_error_t error;
    struct txn *t;
    int rc = txn_new_create(fake_kvs(f), ns, owner, 0, NULL, &t, &error);

    return rc < 0 ? rc : finish(f, begin(f, t));
}

int fake_remove(struct fake *f, const char *ns)
{
    flux_error_t error;
    struct txn *t;
    int rc = txn_new_remove(fake_kvs(f), ns, &t, &error);

    return rc < 0 ? rc : finish(f, begin(f, t));
}

void fake_fill(struct fake *f, const char *dir)
{
    char key[64];

    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "%s.filler%d", dir, i);
        assert_int_equal(fake_put(f, "primary", key, "a value of some thirty bytes or so"), 0);
    }
}

/* --- lookups */

/* The value's bytes if the object is a val, else its JSON. */
static char *object_text(const char *response)
{
    json_t *o = json_loads(response, JSON_REJECT_DUPLICATES, NULL);
    json_t *val = json_object_get(o, "val");
    const char *type = json_string_value(json_object_get(val, "type"));
    char *text;

    assert_non_null(type);
    if (strcmp(type, "val") == 0) {
        const char *data = json_string_value(json_object_get(val, "data"));
        size_t size = 0;
        void *bytes = *data ? base64_decode(data, strlen(data), &size) : NULL;

        text = calloc(1, size + 1);
        if (size > 0)
            memcpy(text, bytes, size);
        free(bytes);
    } else {
        text = json_dumps(val, JSON_COMPACT);
    }
    json_decref(o);
    return text;
}

static void on_lookup(struct lookup *lk)
{
    *(bool *)lk->arg = true;
}

char *fake_lookup_as(struct fake *f, uint32_t userid, const char *ns, int flags, const char *key,
                     int *ret_err)
{
    struct caller who = { .userid = userid, .is_owner = userid == FAKE_OWNER };
    struct lookup *lk;
    bool done = false;
    char *text = NULL;

    if ((*ret_err = lookup_new(fake_kvs(f), ns, key, flags, &who, NULL, on_lookup, &lk)) < 0)
        return NULL;
    lk->arg = &done;
    if (!lookup_run(lk)) {
        fake_run(f);
        assert_true(done);
    }
    *ret_err = lk->err;
    if (lk->err == 0)
        text = object_text(strbuf_text(&lk->out));
    lookup_free(lk);
    return text;
}

char *fake_lookup(struct fake *f, const char *ns, int flags, const char *key, int *ret_err)
{
    return fake_lookup_as(f, FAKE_OWNER, ns, flags, key, ret_err);
}

void fake_assert_value(struct fake *f, const char *ns, const char *key, const char *expected)
{
    int err;
    char *value = fake_lookup(f, ns, 0, key, &err);

    assert_int_equal(err, 0);
    assert_string_equal(value, expected);
    free(value);
}

void fake_assert_error(struct fake *f, const char *ns, int flags, const char *key, int expected)
{
    int err;
    char *value = fake_lookup(f, ns, flags, key, &err);

    assert_null(value);
    assert_int_equal(err, -expected);
}

/* --- watches */

static void on_deliver(struct watch *watch, const char *text, void *arg)
{
    struct watching *w = arg;
    char *s = object_text(text);

    strbuf_puts(&w->said, s);
    strbuf_puts(&w->said, "|");
    free(s);
}

static void on_end(struct watch *watch, int errnum, void *arg)
{
    struct watching *w = arg;

    assert_false(w->ended);
    w->ended = true;
    strbuf_puts(&w->said, "!");
    strbuf_puts(&w->said, errnum == ENOTSUP ? "ENOTSUP" : strerrorname_np(errnum));
}

struct watching *fake_watch(struct fake *f, const char *ns, int flags, const char *key)
{
    return fake_watch_on(f, ns, flags, key, NULL);
}

struct watching *fake_watch_on(struct fake *f, const char *ns, int flags, const char *key,
                               const struct watch_progress *progress)
{
    struct watching *w = calloc(1, sizeof(*w));
    struct watch_args args = { .ns = ns,
                               .key = key,
                               .flags = flags,
                               .who = { .userid = FAKE_OWNER, .is_owner = true },
                               .progress = progress,
                               .deliver = on_deliver,
                               .end = on_end,
                               .arg = w };
    int rc = watch_new(fake_kvs(f), &args, &w->watch);

    if (rc < 0)
        on_end(NULL, -rc, w);
    fake_run(f);
    return w;
}

const char *watching_said(struct watching *w)
{
    return strbuf_text(&w->said);
}

void watching_free(struct watching *w)
{
    if (!w->ended)
        watch_cancel(w->watch);
    strbuf_deinit(&w->said);
    free(w);
}
