/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One table says what there is, of which kind, and where it may be given. A shape on the command
 * line hides the whole shape of the configuration, whichever of topo and fanout either used. */
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/fsd.h"
#include "base/number.h"
#include "broker/options.h"
#include "broker/tbonconf.h"

#define DURATION_MAX 86400.
#define FANOUT_MAX   (1 << 24)

enum kind { KIND_TOPO, KIND_FANOUT, KIND_DURATION, KIND_FLAG, KIND_FACT };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;  /* in struct tbonconf */
    bool may_be_0;  /* of durations */
    bool only_args; /* not in the configuration */
};

static const struct key keys[] = {
    { "connect_timeout", KIND_DURATION, offsetof(struct tbonconf, connect_timeout), false, false },
    { "fanout", KIND_FANOUT, offsetof(struct tbonconf, fanout), false, false },
    { "prefertcp", KIND_FLAG, offsetof(struct tbonconf, prefertcp), false, true },
    { "restart_timeout", KIND_DURATION, offsetof(struct tbonconf, restart_timeout), true, false },
    { "tcp_user_timeout", KIND_DURATION, offsetof(struct tbonconf, tcp_user_timeout), true, false },
    { "topo", KIND_TOPO, offsetof(struct tbonconf, topo), false, false },
    { "torpid_max", KIND_DURATION, offsetof(struct tbonconf, torpid_max), true, false },
    { "torpid_min", KIND_DURATION, offsetof(struct tbonconf, torpid_min), false, false },
    { "zmqdebug", KIND_FLAG, offsetof(struct tbonconf, zmqdebug), false, false },
    { "descendants", KIND_FACT, 0, false, true },
    { "endpoint", KIND_FACT, 0, false, true },
    { "level", KIND_FACT, 0, false, true },
    { "maxlevel", KIND_FACT, 0, false, true },
    { "parent-endpoint", KIND_FACT, 0, false, true },
};

static const struct key *find_key(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strlen(keys[i].name) == len && strncmp(keys[i].name, name, len) == 0)
            return &keys[i];
    return NULL;
}

static bool duration_fits(const struct key *k, double seconds)
{
    return seconds <= DURATION_MAX && (k->may_be_0 ? seconds >= 0 : seconds > 0);
}

static int bad_value(const struct key *k, flux_error_t *error)
{
    static const char *const expected[] = {
        [KIND_TOPO] = "expected kary:K, mincrit, mincrit:N or custom",
        [KIND_FANOUT] = "expected a number of children, 0 for all",
        [KIND_DURATION] = "expected a duration of at most a day, such as \"20s\"",
        [KIND_FLAG] = "expected 0 or 1",
    };

    return errorx_fail(error, EINVAL, "tbon.%s: %s%s", k->name, expected[k->kind],
                       k->may_be_0 ? ", or 0" : "");
}

/* --- the configuration */

static int take_json(struct tbonconf *c, const struct key *k, const json_t *v, flux_error_t *error)
{
    void *to = (char *)c + k->offset;
    double seconds;

    switch (k->kind) {
    case KIND_TOPO:
        if (!json_is_string(v) || json_string_length(v) == 0)
            break;
        *(const char **)to = json_string_value(v);
        return 0;
    case KIND_FANOUT:
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > FANOUT_MAX)
            break;
        *(int *)to = (int)json_integer_value(v);
        return 0;
    case KIND_DURATION:
        if (json_is_number(v))
            seconds = json_number_value(v);
        else if (!json_is_string(v) || fsd_parse(json_string_value(v), &seconds) < 0)
            break;
        if (!duration_fits(k, seconds))
            break;
        *(double *)to = seconds;
        return 0;
    case KIND_FLAG:
        if (!json_is_boolean(v) && !json_is_integer(v))
            break;
        *(bool *)to = json_is_true(v) || json_integer_value(v) != 0;
        return 0;
    case KIND_FACT:
        break;
    }
    return bad_value(k, error);
}

static int read_table(struct tbonconf *c, const json_t *table, flux_error_t *error)
{
    const char *name;
    const json_t *v;

    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "tbon: must be a table");
    json_object_foreach ((json_t *)table, name, v) {
        const struct key *k = find_key(name, strlen(name));
        int rc;

        if (!k || k->only_args)
            return errorx_fail(error, EINVAL, "tbon.%s: unknown key", name);
        rc = take_json(c, k, v, error);
        if (rc < 0)
            return rc;
    }
    if (c->topo && c->fanout >= 0)
        return errorx_fail(error, EINVAL,
                           "tbon.fanout: has no effect with tbon.topo: leave one of them out");
    return 0;
}

/* --- the command line */

static int take_text(struct tbonconf *c, const struct key *k, const char *value,
                     flux_error_t *error)
{
    void *to = (char *)c + k->offset;
    double seconds;
    int n;

    switch (k->kind) {
    case KIND_TOPO:
        if (!*value)
            break;
        *(const char **)to = value;
        c->fanout = -1;
        c->shape_is_argument = true;
        return 0;
    case KIND_FANOUT:
        if (number_parse_int(value, 0, FANOUT_MAX, &n) < 0)
            break;
        *(int *)to = n;
        c->topo = NULL;
        c->shape_is_argument = true;
        return 0;
    case KIND_DURATION:
        if (fsd_parse(value, &seconds) < 0 || !duration_fits(k, seconds))
            break;
        *(double *)to = seconds;
        return 0;
    case KIND_FLAG:
        if (number_parse_int(value, 0, INT32_MAX, &n) < 0)
            break;
        *(bool *)to = n != 0;
        return 0;
    case KIND_FACT:
        return errorx_fail(error, EPERM, "--setattr=tbon.%s=%s: attribute tbon.%s cannot be set",
                           k->name, value, k->name);
    }
    return bad_value(k, error);
}

static int read_assignment(struct tbonconf *c, const char *assignment, flux_error_t *error)
{
    const size_t prefix = strlen("tbon.");
    const char *value = strchr(assignment, '=') + 1;
    const struct key *k;

    if (strncmp(assignment, "tbon.", prefix) != 0)
        return 0;
    k = find_key(assignment + prefix, (size_t)(value - assignment) - 1 - prefix);
    if (!k)
        return errorx_fail(error, EINVAL,
                           "--setattr=%s: no such attribute of the tree; see "
                           "flux-broker-attributes(7)",
                           assignment);
    return take_text(c, k, value, error);
}

int tbonconf_read(struct tbonconf *ret, const json_t *config, const struct broker_options *options,
                  flux_error_t *error)
{
    struct tbonconf c = { .fanout = -1,
                          .connect_timeout = 30.,
                          .tcp_user_timeout = 20.,
                          .torpid_min = 5.,
                          .torpid_max = 30.,
                          .restart_timeout = 10. };
    int rc = read_table(&c, json_object_get(config, "tbon"), error);

    for (int i = 0; options && rc == 0 && i < options->nassignments; i++)
        rc = read_assignment(&c, options->assignments[i], error);
    if (rc == 0)
        *ret = c;
    return rc;
}
