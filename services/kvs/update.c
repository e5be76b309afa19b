/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Updates. With the root go the directories that the commit made, from the root down as far as
 * UPDATE_OBJS_MAX allows: a follower then finds what was just changed without asking anybody. What
 * is left out it loads when it needs it, so nothing depends on it. Objects are not believed: their
 * name is the hash of their text. */
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/update.h"
#include "kvs/watch.h"

/* --- encoding */

static void encode_keys(const struct touches *touches, struct strbuf *sb)
{
    struct strbuf keys = { 0 };

    strbuf_puts(&keys, ",\"keys\":[");
    for (size_t i = 0, n = 0; i < touches->count && keys.len <= UPDATE_KEYS_MAX; i++) {
        if (strcmp(touches->item[i].ns, KVS_PRIMARY_NAMESPACE) != 0)
            continue;
        if (n++ > 0)
            strbuf_puts(&keys, ",");
        strbuf_json_string(&keys, touches->item[i].key);
    }
    strbuf_puts(&keys, "]");
    if (keys.len <= UPDATE_KEYS_MAX && strbuf_error(&keys) == 0)
        strbuf_add(sb, keys.data, keys.len);
    strbuf_deinit(&keys);
}

struct encoder {
    struct kvs *k;
    struct strbuf *sb;
    struct strbuf text;
    size_t room;
    bool any;
};

static void encode_obj(struct encoder *e, const uint8_t *digest);

/* What is new below a directory; directories within its own text need no mention themselves. */
static void encode_below(struct encoder *e, const struct dir *d)
{
    for (uint32_t i = 0; i < dir_slots(d); i++) {
        const struct node *n = d->ents[i];

        if (n && n->type == NODE_DIRREF)
            encode_obj(e, n->dirref);
        else if (n && n->type == NODE_DIR)
            encode_below(e, n->dir);
    }
}

static void encode_obj(struct encoder *e, const uint8_t *digest)
{
    struct obj *o = objcache_find(e->k->cache, OBJ_DIR, digest);

    if (!o || obj_stored(o))
        return;
    e->text.len = 0;
    dir_encode(obj_dir(o), e->k->params.hash, &e->text);
    if (!strbuf_text(&e->text) || e->text.len > e->room)
        return;
    e->room -= e->text.len;
    if (e->any)
        strbuf_puts(e->sb, ",");
    e->any = true;
    strbuf_json_string(e->sb, e->text.data);
    encode_below(e, obj_dir(o));
}

void update_encode(struct kvs *k, const struct touches *touches, struct strbuf *sb)
{
    struct namespace *ns = namespace_find(k->namespaces, KVS_PRIMARY_NAMESPACE);
    struct encoder e = { .k = k, .sb = sb, .room = UPDATE_OBJS_MAX };
    char ref[BLOBREF_STRING_SIZE];

    if (!ns || !ns->work.changed || !ns->work.exists || ns->work.seq == ns->seq)
        return;
    blobref_format(k->params.hash, ns->work.root->dirref, ref);
    strbuf_puts(sb, "{\"namespace\":\"" KVS_PRIMARY_NAMESPACE "\",\"rootref\":\"");
    strbuf_puts(sb, ref);
    strbuf_puts(sb, "\",\"rootseq\":");
    strbuf_number(sb, (uint64_t)ns->work.seq);
    strbuf_puts(sb, ",\"owner\":");
    strbuf_number(sb, ns->work.owner);
    strbuf_puts(sb, ",\"flags\":");
    strbuf_number(sb, (uint64_t)ns->work.flags);
    encode_keys(touches, sb);
    strbuf_puts(sb, ",\"objs\":[");
    encode_obj(&e, ns->work.root->dirref);
    strbuf_puts(sb, "]}");
    strbuf_deinit(&e.text);
}

/* --- applying */

static int take_obj(struct kvs *k, const json_t *o)
{
    const char *text = json_string_value(o);
    CLEANUP(dir_unrefp) struct dir *d = NULL;
    struct obj *obj;
    bool is_new;
    size_t size;
    int rc;

    if (!text)
        return -EPROTO;
    size = json_string_length(o);
    if ((rc = dir_decode(text, size, k->params.hash, &d)) < 0)
        return rc;
    digest_compute(k->params.hash, text, size, d->digest);
    d->sealed = true;
    if (!(obj = objcache_put_dir(k->cache, d, size, &is_new)))
        return -ENOMEM;
    obj_set_stored(obj);
    obj_unpin(k->cache, obj);
    return 0;
}

static int take_objs(struct kvs *k, const json_t *update)
{
    const json_t *o;
    size_t i;
    int rc;

    json_array_foreach (json_object_get(update, "objs"), i, o) {
        if ((rc = take_obj(k, o)) < 0)
            return rc;
    }
    return 0;
}

static int take_keys(const json_t *keys, const char *ns, struct touches *ret)
{
    const json_t *o;
    size_t i;

    if (!json_is_array(keys))
        return -EPROTO;
    if (json_array_size(keys) == 0)
        return 0;
    if (!(ret->item = calloc(json_array_size(keys), sizeof(ret->item[0]))))
        return -ENOMEM;
    json_array_foreach (keys, i, o) {
        if (!json_is_string(o))
            return -EPROTO;
        if (!(ret->item[i].key = strdup(json_string_value(o))))
            return -ENOMEM;
        ret->item[i].ns = ns;
        ret->count++;
    }
    return 0;
}

struct root {
    json_int_t seq, owner;
    int flags;
    uint8_t digest[DIGEST_SIZE];
};

static int parse_root(struct kvs *k, const json_t *update, struct root *ret)
{
    enum digest_algorithm alg;
    const char *name, *ref;

    ret->owner = k->params.owner;
    ret->flags = 0;
    if (json_unpack((json_t *)update, "{s:s s:I s:s s?I s?i}", "namespace", &name, "rootseq",
                    &ret->seq, "rootref", &ref, "owner", &ret->owner, "flags", &ret->flags) < 0 ||
        strcmp(name, KVS_PRIMARY_NAMESPACE) != 0 || ret->seq < 0 ||
        blobref_parse(ref, &alg, ret->digest) < 0 || alg != k->params.hash)
        return -EPROTO;
    return 0;
}

static void set_root(struct kvs *k, struct namespace *ns, const struct root *root,
                     struct node *node)
{
    node_unref(ns->work.root);
    ns->work.root = node;
    ns->work.exists = true;
    ns->work.seq = root->seq;
    ns->work.owner = (uint32_t)root->owner;
    ns->work.flags = root->flags;
    namespace_set_changed(k->namespaces, ns);
}

int update_apply(struct kvs *k, const json_t *update)
{
    struct touches touches = { 0 };
    CLEANUP(node_unrefp) struct node *node = NULL;
    struct namespace *ns;
    struct root root;
    bool is_next;
    int rc;

    if ((rc = parse_root(k, update, &root)) < 0 ||
        (rc = namespace_add(k->namespaces, KVS_PRIMARY_NAMESPACE, &ns)) < 0)
        return rc;
    if (ns->exists && root.seq <= ns->seq)
        return UPDATE_OLD;
    is_next = ns->exists && root.seq == ns->seq + 1 && json_object_get(update, "keys");
    if ((rc = take_objs(k, update)) < 0 ||
        (is_next && (rc = take_keys(json_object_get(update, "keys"), ns->name, &touches)) < 0) ||
        !(node = node_new_dirref("", 0, root.digest))) {
        touches_deinit(&touches);
        return rc < 0 ? rc : -ENOMEM;
    }
    set_root(k, ns, &root, TAKE(node));
    if (is_next)
        watch_prepare(k, &touches);
    namespace_settle(k->namespaces, ns);
    if (is_next)
        watch_run(k);
    else
        watch_look_again(k);
    touches_deinit(&touches);
    return is_next ? UPDATE_NEXT : UPDATE_GAP;
}
