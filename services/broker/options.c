/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The command line of flux-broker: what `fluxctl start -o` and `-S` pass. Refuses unknown options,
 * arguments, assignments without a name or a "=", and attributes that describe the node or the
 * instance. */
#include <getopt.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "broker/options.h"
#include "service/log.h"

const char broker_options_usage[] =
    "  -S, --setattr=NAME=VALUE  set an attribute of the instance; may be repeated\n"
    "  -c, --config-path=DIR     read the configuration (*.toml) in DIR\n"
    "  -v, --verbose             log at level 7 (debug)\n";

static const struct option options[] = {
    { "setattr", required_argument, NULL, 'S' },
    { "config-path", required_argument, NULL, 'c' },
    { "verbose", optional_argument, NULL, 'v' },
    { 0 },
};

static int add_assignment(struct broker_options *o, char *s, flux_error_t *error)
{
    char **bigger;

    if (s[0] == '=' || !strchr(s, '='))
        return errorx_fail(error, EINVAL, "--setattr=%s: expected NAME=VALUE", s);
    bigger = realloc(o->assignments, sizeof(*bigger) * (size_t)(o->nassignments + 1));
    if (!bigger)
        return errorx_fail(error, ENOMEM, "out of memory");
    o->assignments = bigger;
    o->assignments[o->nassignments++] = s;
    return 0;
}

static int handle_option(struct broker_options *o, int c, const char *word, flux_error_t *error)
{
    switch (c) {
    case 'S':
        return add_assignment(o, optarg, error);
    case 'c':
        o->config_path = optarg;
        return 0;
    case 'v':
        log_set_level(LOG_DEBUG);
        return 0;
    case ':':
        return errorx_fail(error, EINVAL, "option %s needs a value", word);
    default:
        return errorx_fail(error, EINVAL, "unknown option %s (see flux-broker --help)", word);
    }
}

int broker_options_parse(int argc, char **argv, struct broker_options *ret, flux_error_t *error)
{
    int c, rc;

    *ret = (struct broker_options){ 0 };
    optind = 1;
    for (;;) {
        const int at = optind;

        c = getopt_long(argc, argv, "+:S:c:v", options, NULL);
        if (c < 0)
            break;
        rc = handle_option(ret, c, argv[at], error);
        if (rc < 0)
            return rc;
    }
    if (optind < argc)
        return errorx_fail(error, EINVAL, "unexpected argument '%s' (see flux-broker --help)",
                           argv[optind]);
    return 0;
}

void broker_options_deinit(struct broker_options *o)
{
    free(o->assignments);
    *o = (struct broker_options){ 0 };
}

static int apply(struct attrs *attrs, const char *assignment, flux_error_t *error)
{
    const char *value = strchr(assignment, '=') + 1;
    CLEANUP(freep) char *name = strndup(assignment, (size_t)(value - assignment) - 1);
    int rc = name ? attr_set(attrs, name, value) : -ENOMEM;

    if (rc == -EPERM)
        return errorx_fail(error, EPERM, "--setattr=%s: attribute %s cannot be set", assignment,
                           name);
    if (rc < 0)
        return errorx_fail(error, -rc, "--setattr=%s: %s", assignment,
                           rc == -EINVAL && strcmp(name, "log-level") == 0
                               ? "expected a number from 0 to 7"
                               : strerror(-rc));
    return 0;
}

const char *broker_options_value(const struct broker_options *o, const char *name)
{
    const size_t n = strlen(name);

    for (int i = o->nassignments - 1; i >= 0; i--)
        if (strncmp(o->assignments[i], name, n) == 0 && o->assignments[i][n] == '=')
            return o->assignments[i] + n + 1;
    return NULL;
}

static bool is_asked_early(const char *assignment)
{
    static const char *const names[] = { "broker.quorum=",           "broker.quorum-warn=",
                                         "broker.orphan-timeout=",   "broker.cleanup-timeout=",
                                         "broker.shutdown-timeout=", "log-stderr-level=",
                                         "log-stderr-mode=",         "log-critical-level=",
                                         "log-forward-level=",       "log-filename=" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strncmp(assignment, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

int broker_options_apply(const struct broker_options *o, struct attrs *attrs, flux_error_t *error)
{
    int rc = 0;

    for (int i = 0; i < o->nassignments && rc == 0; i++)
        if (strncmp(o->assignments[i], "tbon.", 5) != 0 && !is_asked_early(o->assignments[i]))
            rc = apply(attrs, o->assignments[i], error);
    return rc;
}
