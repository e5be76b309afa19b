/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every mistake is an error that names the key: an instance must not start with half of what its
 * administrator meant. Only the URIs that are asked for must be there. */
#include <string.h>

#include "base/errorx.h"
#include "base/hash.h"
#include "broker/bootconf.h"

struct host_index {
    const char *name;
    uint32_t rank;
    UT_hash_handle hh;
};

/* --- values */

static int get_string(const json_t *table, const char *where, const char *key, const char **ret,
                      flux_error_t *error)
{
    const json_t *v = json_object_get(table, key);

    if (!v)
        return 0;
    if (!json_is_string(v) || json_string_length(v) == 0)
        return errorx_fail(error, EINVAL, "%s.%s: expected a string", where, key);
    *ret = json_string_value(v);
    return 0;
}

static int check_keys(const json_t *table, const char *where, const char *const *known,
                      flux_error_t *error)
{
    const char *key;
    const json_t *value;

    json_object_foreach ((json_t *)table, key, value) {
        const char *const *k = known;

        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k)
            return errorx_fail(error, EINVAL, "%s.%s: unknown key", where, key);
    }
    return 0;
}

/* --- tables */

static int read_defaults(struct bootconf *b, const json_t *table, flux_error_t *error)
{
    const json_t *port = json_object_get(table, "default_port");
    const json_t *ipv6 = json_object_get(table, "enable_ipv6");
    int rc;

    if (port && (!json_is_integer(port) || json_integer_value(port) < 1 ||
                 json_integer_value(port) > 65535))
        return errorx_fail(error, EINVAL, "bootstrap.default_port: expected 1 to 65535");
    if (ipv6 && !json_is_boolean(ipv6))
        return errorx_fail(error, EINVAL, "bootstrap.enable_ipv6: expected true or false");
    b->default_port = (int)json_integer_value(port);
    b->enable_ipv6 = json_is_true(ipv6);
    if ((rc = get_string(table, "bootstrap", "curve_cert", &b->curve_cert, error)) < 0 ||
        (rc = get_string(table, "bootstrap", "keydir", &b->keydir, error)) < 0 ||
        (rc = get_string(table, "bootstrap", "default_bind", &b->default_bind, error)) < 0 ||
        (rc = get_string(table, "bootstrap", "default_connect", &b->default_connect, error)) < 0)
        return rc;
    if (b->keydir && !b->curve_cert)
        return errorx_fail(error, EINVAL,
                           "bootstrap.keydir: needs bootstrap.curve_cert too, with the node's own");
    return 0;
}

/* --- hosts */

static int add_entry(struct bootconf *b, const json_t *entry, size_t i, flux_error_t *error)
{
    static const char *const known[] = { "host", "bind", "connect", "parent", NULL };
    const char *host = json_string_value(json_object_get(entry, "host"));
    const char *bind = NULL, *connect = NULL, *parent = NULL;
    struct hostlist *hl;
    char where[48];
    int rc = 0;

    (void)snprintf(where, sizeof(where), "bootstrap.hosts[%zu]", i);
    if (!host)
        return errorx_fail(error, EINVAL, "%s: expected { host = \"NAME\" }", where);
    if ((rc = check_keys(entry, where, known, error)) < 0 ||
        (rc = get_string(entry, where, "bind", &bind, error)) < 0 ||
        (rc = get_string(entry, where, "connect", &connect, error)) < 0 ||
        (rc = get_string(entry, where, "parent", &parent, error)) < 0)
        return rc;
    hl = hostlist_decode(host);
    if (!hl)
        return errorx_fail(error, EINVAL, "%s.host: '%s' is not a list of hosts", where, host);
    for (int k = 0; k < hostlist_count(hl) && rc == 0; k++) {
        if (b->size == BOOTCONF_SIZE_MAX)
            rc =
                errorx_fail(error, E2BIG, "bootstrap.hosts: more than %u hosts", BOOTCONF_SIZE_MAX);
        else if (!endpoint_host_valid(hostlist_nth(hl, k), strlen(hostlist_nth(hl, k))))
            rc = errorx_fail(error, EINVAL,
                             "%s.host: '%.100s' is no name of a host: letters, digits, '-', '_' "
                             "and '.', at most %d",
                             where, hostlist_nth(hl, k), ENDPOINT_HOST_SIZE - 1);
        else if (hostlist_append(b->hosts, hostlist_nth(hl, k)) < 0)
            rc = errorx_fail(error, ENOMEM, "out of memory");
        else
            b->entries[b->size++] = entry;
    }
    hostlist_destroy(hl);
    return rc;
}

static int read_hosts(struct bootconf *b, const json_t *hosts, flux_error_t *error)
{
    const json_t *entry;
    size_t i;
    int rc = 0;

    if (!json_is_array(hosts))
        return errorx_fail(error, EINVAL, "bootstrap.hosts: expected an array of tables");
    b->hosts = hostlist_create();
    b->entries = calloc(BOOTCONF_SIZE_MAX, sizeof(*b->entries));
    if (!b->hosts || !b->entries)
        return errorx_fail(error, ENOMEM, "out of memory");
    json_array_foreach (hosts, i, entry) {
        rc = add_entry(b, entry, i, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static uint32_t find_host(const struct host_index *index, const char *name)
{
    const struct host_index *h;

    HASH_FIND_STR(index, name, h);
    return h ? h->rank : FLUX_NODEID_ANY;
}

static int read_parents(struct bootconf *b, const struct host_index *index, flux_error_t *error)
{
    for (uint32_t r = 0; r < b->size; r++) {
        const char *parent = json_string_value(json_object_get(b->entries[r], "parent"));

        if (!parent)
            continue;
        if (!b->parents) {
            b->parents = malloc(sizeof(*b->parents) * b->size);
            if (!b->parents)
                return errorx_fail(error, ENOMEM, "out of memory");
            for (uint32_t k = 0; k < b->size; k++)
                b->parents[k] = FLUX_NODEID_ANY;
        }
        b->parents[r] = find_host(index, parent);
        if (b->parents[r] == FLUX_NODEID_ANY)
            return errorx_fail(error, EINVAL,
                               "bootstrap.hosts: parent '%s' of %s is not one of them", parent,
                               hostlist_nth(b->hosts, (int)r));
    }
    return 0;
}

static int use_index(struct bootconf *b, struct host_index **index, struct host_index *all,
                     char **names, const char *hostname, flux_error_t *error)
{
    for (uint32_t r = 0; r < b->size; r++) {
        names[r] = strdup(hostlist_nth(b->hosts, (int)r));
        if (!names[r])
            return errorx_fail(error, ENOMEM, "out of memory");
        if (find_host(*index, names[r]) != FLUX_NODEID_ANY)
            return errorx_fail(error, EINVAL, "bootstrap.hosts: %s is there twice", names[r]);
        all[r] = (struct host_index){ .name = names[r], .rank = r };
        HASH_ADD_KEYPTR(hh, *index, all[r].name, strlen(all[r].name), &all[r]);
    }
    b->rank = find_host(*index, hostname);
    if (b->rank == FLUX_NODEID_ANY)
        return errorx_fail(
            error, ENXIO, "this host, %s, is not in bootstrap.hosts, which has %u hosts from %s on",
            hostname, b->size, b->size > 0 ? names[0] : "nobody");
    return read_parents(b, *index, error);
}

static int find_ranks(struct bootconf *b, const char *hostname, flux_error_t *error)
{
    struct host_index *index = NULL, *all = calloc(b->size + 1, sizeof(*all));
    char **names = calloc(b->size + 1, sizeof(*names));
    int rc = all && names ? use_index(b, &index, all, names, hostname, error) : -ENOMEM;

    HASH_CLEAR(hh, index);
    for (uint32_t r = 0; names && r < b->size; r++)
        free(names[r]);
    free(names);
    free(all);
    return rc;
}

/* --- URIs */

struct use {
    const char *key, *fallback, *example;
    enum endpoint_use endpoint;
};

static const struct use use_bind = { "bind", "default_bind", "tcp://*:%p", ENDPOINT_BIND };
static const struct use use_connect = { "connect", "default_connect", "tcp://%h:%p",
                                        ENDPOINT_CONNECT };

static int expand(const struct bootconf *b, const char *what, const char *from, uint32_t rank,
                  char ret[BOOTCONF_URI_SIZE], flux_error_t *error)
{
    const char *host = hostlist_nth(b->hosts, (int)rank);
    size_t n = 0;

    for (; *from && n < BOOTCONF_URI_SIZE; from++) {
        if (strncmp(from, "%h", 2) == 0) {
            n += (size_t)snprintf(ret + n, BOOTCONF_URI_SIZE - n, "%s", host);
            from++;
        } else if (strncmp(from, "%p", 2) == 0) {
            if (b->default_port == 0)
                return errorx_fail(error, EINVAL,
                                   "bootstrap.default_port: needed for %%p in %s of %s", what,
                                   host);
            n += (size_t)snprintf(ret + n, BOOTCONF_URI_SIZE - n, "%d", b->default_port);
            from++;
        } else {
            ret[n++] = *from;
        }
    }
    if (n >= BOOTCONF_URI_SIZE)
        return errorx_fail(error, ENAMETOOLONG, "%s of %s: longer than %d bytes", what, host,
                           BOOTCONF_URI_SIZE - 1);
    ret[n] = '\0';
    return 0;
}

static int make_uri(const struct bootconf *b, const struct use *use, const char *from,
                    uint32_t rank, char ret[BOOTCONF_URI_SIZE], flux_error_t *error)
{
    char what[ENDPOINT_HOST_SIZE + 32];
    int rc = expand(b, use->key, from, rank, ret, error);

    (void)snprintf(what, sizeof(what), "bootstrap: %s of %s", use->key,
                   hostlist_nth(b->hosts, (int)rank));
    return rc < 0 ? rc : endpoint_check(what, ret, use->endpoint, b->enable_ipv6, error);
}

static int find_uri(const struct bootconf *b, const struct use *use, const char *fallback,
                    uint32_t rank, char ret[BOOTCONF_URI_SIZE], flux_error_t *error)
{
    const char *uri = json_string_value(json_object_get(b->entries[rank], use->key));

    if (!uri)
        uri = fallback;
    if (!uri)
        return errorx_fail(error, EINVAL,
                           "bootstrap: %s (rank %u) has nodes below it and needs %s or %s, such as "
                           "\"%s\"",
                           hostlist_nth(b->hosts, (int)rank), rank, use->key, use->fallback,
                           use->example);
    return make_uri(b, use, uri, rank, ret, error);
}

int bootconf_bind(const struct bootconf *b, uint32_t rank, char ret[BOOTCONF_URI_SIZE],
                  flux_error_t *error)
{
    return find_uri(b, &use_bind, b->default_bind, rank, ret, error);
}

int bootconf_connect(const struct bootconf *b, uint32_t rank, char ret[BOOTCONF_URI_SIZE],
                     flux_error_t *error)
{
    return find_uri(b, &use_connect, b->default_connect, rank, ret, error);
}

int bootconf_cert(const struct bootconf *b, char ret[BOOTCONF_URI_SIZE], flux_error_t *error)
{
    return expand(b, "curve_cert", b->curve_cert, b->rank, ret, error);
}

/* Those of all, not of this node and its parent alone: a mistake shows where the file is written.
 */
static int check_uris(const struct bootconf *b, flux_error_t *error)
{
    char uri[BOOTCONF_URI_SIZE];
    int rc = 0;

    if (b->default_bind)
        rc = make_uri(b, &use_bind, b->default_bind, b->rank, uri, error);
    if (rc == 0 && b->default_connect)
        rc = make_uri(b, &use_connect, b->default_connect, b->rank, uri, error);
    for (uint32_t r = 0; r < b->size && rc == 0; r++) {
        const char *bind = json_string_value(json_object_get(b->entries[r], "bind"));
        const char *connect = json_string_value(json_object_get(b->entries[r], "connect"));

        if (bind)
            rc = make_uri(b, &use_bind, bind, r, uri, error);
        if (rc == 0 && connect)
            rc = make_uri(b, &use_connect, connect, r, uri, error);
    }
    return rc;
}

/* --- */

int bootconf_new(const json_t *config, const char *hostname, struct bootconf **ret,
                 flux_error_t *error)
{
    static const char *const known[] = { "curve_cert",      "default_bind",
                                         "default_connect", "default_port",
                                         "enable_ipv6",     "hosts",
                                         "keydir",          NULL };
    CLEANUP(bootconf_freep) struct bootconf *b = calloc(1, sizeof(*b));
    const json_t *table = json_object_get(config, "bootstrap");
    const json_t *hosts;
    int rc;

    if (!b)
        return -ENOMEM;
    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "bootstrap: must be a table");
    hosts = json_object_get(table, "hosts");
    if ((rc = check_keys(table, "bootstrap", known, error)) < 0 ||
        (rc = read_defaults(b, table, error)) < 0)
        return rc;
    if (!hosts || json_array_size(hosts) == 0)
        return hosts && !json_is_array(hosts)
                   ? errorx_fail(error, EINVAL, "bootstrap.hosts: expected an array of tables")
                   : -ENOENT;
    if ((rc = read_hosts(b, hosts, error)) < 0 || (rc = find_ranks(b, hostname, error)) < 0 ||
        (rc = check_uris(b, error)) < 0)
        return rc;
    *ret = TAKE(b);
    return 0;
}

struct bootconf *bootconf_free(struct bootconf *b)
{
    if (b) {
        hostlist_destroy(b->hosts);
        free(b->entries);
        free(b->parents);
        free(b);
    }
    return NULL;
}
