/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Environment rules.
 *
 * A pattern is a shell glob, or a POSIX extended regular expression after a slash. Rule files may
 * name rule files, at most FILES_MAX deep. Substitution knows $$, $var and ${var} and refuses
 * everything else after a '$'. Variables that are not valid UTF-8 cannot be said in a jobspec and
 * are left out. */
#include "env-rules.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errorx.h"

#define FILES_MAX 8

/* What tells this process about its own parent, and must not reach a task. */
static const char *const private_names[] = {
    "FLUX_KVS_NAMESPACE", "LISTEN_FDNAMES", "LISTEN_FDS",    "LISTEN_PID",
    "NOTIFY_SOCKET",      "WATCHDOG_PID",   "WATCHDOG_USEC",
};

struct pattern {
    const char *glob; /* NULL: regex */
    regex_t regex;
};

static int pattern_init(struct pattern *p, const char *text, flux_error_t *error)
{
    CLEANUP(freep) char *copy = NULL;
    size_t len;
    int rc;

    *p = (struct pattern){ .glob = text };
    if (text[0] != '/')
        return 0;
    if (!(copy = strdup(text + 1)))
        return -ENOMEM;
    len = strlen(copy);
    if (len > 0 && copy[len - 1] == '/')
        copy[len - 1] = '\0';
    p->glob = NULL;
    if ((rc = regcomp(&p->regex, copy, REG_EXTENDED | REG_NOSUB)) != 0) {
        char reason[64];

        (void)regerror(rc, &p->regex, reason, sizeof(reason));
        return errorx_fail(error, EINVAL, "'%s' is not a regular expression: %s", text, reason);
    }
    return 0;
}

static bool pattern_matches(const struct pattern *p, const char *name)
{
    if (p->glob)
        return fnmatch(p->glob, name, 0) == 0;
    return regexec(&p->regex, name, 0, NULL, 0) == 0;
}

static void pattern_deinit(struct pattern *p)
{
    if (!p->glob)
        regfree(&p->regex);
}

static bool is_private(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(private_names); i++) {
        if (strcmp(name, private_names[i]) == 0)
            return true;
    }
    return false;
}

/* Copy one "NAME=VALUE" unless the name is set already. Private ones only if the pattern is their
 * very name. */
static void copy_variable(json_t *env, const char *assignment, const struct pattern *p)
{
    const char *equals = strchr(assignment, '=');
    char name[256];
    size_t len = equals ? (size_t)(equals - assignment) : 0;

    if (len == 0 || len >= sizeof(name))
        return;
    memcpy(name, assignment, len);
    name[len] = '\0';
    if ((p && !pattern_matches(p, name)) || json_object_get(env, name) ||
        (is_private(name) && !(p && p->glob && strcmp(p->glob, name) == 0)))
        return;
    (void)json_object_set_new(env, name, json_string(equals + 1));
}

json_t *env_create(void)
{
    json_t *env = json_object();

    for (char **e = environ; env && *e; e++)
        copy_variable(env, *e, NULL);
    return env;
}

int env_remove(json_t *env, const char *pattern, flux_error_t *error)
{
    struct pattern p;
    const char *name;
    json_t *value;
    void *next;
    int rc;

    if ((rc = pattern_init(&p, pattern, error)) < 0)
        return rc;
    json_object_foreach_safe(env, next, name, value)
    {
        if (pattern_matches(&p, name))
            (void)json_object_del(env, name);
    }
    pattern_deinit(&p);
    return 0;
}

static int add_matching(json_t *env, const char *pattern, flux_error_t *error)
{
    struct pattern p;
    int rc;

    if ((rc = pattern_init(&p, pattern, error)) < 0)
        return rc;
    for (char **e = environ; *e; e++)
        copy_variable(env, *e, &p);
    pattern_deinit(&p);
    return 0;
}

/* The variable named at *s (after the '$'), which is advanced past it; NULL with a sentence. */
static const char *lookup(json_t *env, const char **s, flux_error_t *error)
{
    bool braces = **s == '{';
    const char *start = *s + braces;
    size_t len = 0;
    char name[256];
    const char *value;

    while (isalnum((unsigned char)start[len]) || start[len] == '_')
        len++;
    if (len == 0 || len >= sizeof(name) || isdigit((unsigned char)start[0]) ||
        (braces && start[len] != '}')) {
        errorx_set(error, "only $var, ${var} and $$ can follow a '$', not '$%.40s'", *s);
        return NULL;
    }
    memcpy(name, start, len);
    name[len] = '\0';
    *s = start + len + braces;
    if (!(value = json_string_value(json_object_get(env, name))) && !(value = getenv(name)))
        errorx_set(error, "environment variable '%s' is not set", name);
    return value;
}

static char *substitute(json_t *env, const char *s, flux_error_t *error)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    bool failed = false;

    if (!f)
        return NULL;
    while (*s && !failed) {
        const char *value;

        if (*s != '$') {
            fputc(*s++, f);
        } else if (*++s == '$') {
            fputc(*s++, f);
        } else if ((value = lookup(env, &s, error))) {
            fputs(value, f);
        } else {
            failed = true;
        }
    }
    if (fclose(f) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static int set_variable(json_t *env, const char *rule, const char *equals, flux_error_t *error)
{
    CLEANUP(freep) char *name = strndup(rule, (size_t)(equals - rule));
    CLEANUP(freep) char *value = NULL;

    if (!name)
        return -ENOMEM;
    if (!name[0])
        return errorx_fail(error, EINVAL, "'%s' names no variable", rule);
    if (!(value = substitute(env, equals + 1, error)))
        return -EINVAL;
    if (json_object_set_new(env, name, json_string(value)) < 0)
        return errorx_fail(error, EINVAL, "'%.80s' is not valid UTF-8", rule);
    return 0;
}

static int apply(json_t *env, const char *rule, int depth, flux_error_t *error);

static int apply_file(json_t *env, const char *path, int depth, flux_error_t *error)
{
    CLEANUP(fclosep) FILE *f = NULL;
    CLEANUP(freep) char *expanded = NULL;
    CLEANUP(freep) char *line = NULL;
    const char *home = getenv("HOME");
    size_t size = 0;
    ssize_t len;

    if (depth >= FILES_MAX)
        return errorx_fail(error, ELOOP, "%s: rule files name one another too often", path);
    if (asprintf(&expanded, "%s%s", path[0] == '~' && home ? home : "",
                 path[0] == '~' && home ? path + 1 : path) < 0)
        return -ENOMEM;
    if (!(f = fopen(expanded, "re")))
        return errorx_fail(error, errno, "%s: %s", expanded, strerror(errno));
    while ((len = getline(&line, &size, f)) >= 0) {
        int rc;

        if (len > 0 && line[len - 1] == '\n')
            line[len - 1] = '\0';
        if (line[0] && line[0] != '#' && (rc = apply(env, line, depth + 1, error)) < 0)
            return rc;
    }
    return ferror(f) ? errorx_fail(error, EIO, "%s: cannot be read", expanded) : 0;
}

static int apply(json_t *env, const char *rule, int depth, flux_error_t *error)
{
    const char *equals;

    if (rule[0] == '-')
        return env_remove(env, rule + 1, error);
    if (rule[0] == '^')
        return apply_file(env, rule + 1, depth, error);
    if ((equals = strchr(rule, '=')) && rule[0] != '/')
        return set_variable(env, rule, equals, error);
    return add_matching(env, rule, error);
}

int env_apply(json_t *env, const char *rule, flux_error_t *error)
{
    return apply(env, rule, 0, error);
}

int env_apply_file(json_t *env, const char *path, flux_error_t *error)
{
    return apply_file(env, path, 0, error);
}
