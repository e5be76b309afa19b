/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl keygen: a CURVE certificate for the network between the nodes. Needs no instance. Refuses
 * to replace a file unless it is told to: nodes that run have the old one. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cert.h"
#include "client.h"
#include "families.h"

#define META_MAX 64 /* pairs */

struct meta {
    const char *words[2 * (META_MAX + 2) + 1];
    size_t count; /* words */
};

static void meta_add(struct meta *m, const char *name, const char *value)
{
    m->words[m->count++] = name;
    m->words[m->count++] = value;
}

/* list: KEY=VALUE[,...]; cut up in place. */
static int meta_parse(struct meta *m, char *list)
{
    char *pair;

    while ((pair = strsep(&list, ","))) {
        char *value = strchr(pair, '=');

        if (!value)
            return complain("--meta: '%s': expected KEY=VALUE", pair);
        *value++ = '\0';
        if (!cert_meta_name_is_valid(pair))
            return complain("--meta: '%s' cannot be a key: letters, digits and $-_@.&+/", pair);
        if (!cert_meta_value_is_valid(value))
            return complain("--meta: the value of %s has a quote or a control character, or is "
                            "too long",
                            pair);
        if (strcmp(pair, "name") == 0)
            return complain("--meta: the name is set by --name");
        if (m->count >= 2 * META_MAX)
            return complain("--meta: more than %d pairs", META_MAX);
        meta_add(m, pair, value);
    }
    return EXIT_SUCCESS;
}

static int set_name(struct cert *c, const char *name)
{
    char host[CERT_NAME_SIZE] = "";

    if (!name) {
        if (gethostname(host, sizeof(host) - 1) < 0)
            return complain("this host has no name: %s", strerror(errno));
        name = host;
    }
    if (!cert_meta_value_is_valid(name))
        return complain("--name: it has a quote or a control character, or is too long");
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    return EXIT_SUCCESS;
}

static int check_target(const char *path, bool force)
{
    if (!path || force || access(path, F_OK) < 0)
        return EXIT_SUCCESS;
    return complain("%s exists, and nodes may be using it: --force replaces it", path);
}

static int write_files(const struct cert *c, const char *path, const char *public,
                       const struct meta *meta)
{
    flux_error_t error = { .text = "" };

    if (cert_write(path, c, true, meta->words, &error) < 0 ||
        (public && cert_write(public, c, false, meta->words, &error) < 0))
        return complain("%s", error.text);
    return EXIT_SUCCESS;
}

static int run_keygen(const struct cmdline *c)
{
    const char *public = cmdline_string(c, "public", NULL);
    const char *pairs = cmdline_string(c, "meta", NULL);
    CLEANUP(freep) char *copy = pairs ? strdup(pairs) : NULL;
    CLEANUP(cert_deinit) struct cert cert = { .name = "" };
    struct meta meta = { .count = 0 };
    char now[32] = "";
    time_t t = time(NULL);
    struct tm tm;

    if ((pairs && !copy) || cert_generate(&cert) < 0)
        return complain("no key pair can be made");
    if (set_name(&cert, cmdline_string(c, "name", NULL)) != EXIT_SUCCESS ||
        check_target(c->argv[0], cmdline_has(c, "force")) != EXIT_SUCCESS ||
        check_target(public, cmdline_has(c, "force")) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (gmtime_r(&t, &tm) && strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        meta_add(&meta, "keygen.time", now);
    if (copy && meta_parse(&meta, copy) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    return write_files(&cert, c->argv[0], public, &meta);
}

static const struct option keygen_options[] = {
    { 'n', "name", "NAME", "Name in the certificate (default: that of this host)" },
    { 0, "meta", "KEYVALS", "More metadata: KEY=VALUE[,KEY=VALUE...]" },
    { 0, "public", "FILE", "Write the public part to FILE, too" },
    { 0, "force", NULL, "Replace files that exist" },
    { 0 },
};

const struct command cmd_keygen[] = {
    { "keygen", "PATH", "Make a certificate for the network of an instance", keygen_options, 1, 1,
      0, run_keygen },
    { 0 },
};
