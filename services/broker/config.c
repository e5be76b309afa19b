/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Loading TOML. Refuses a file that is not TOML, keys of the
 * router that are not booleans, and a [heartbeat] that is none. The rest of the tables belongs to
 * the services, which check their own. */
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/toml.h"
#include "broker/config.h"
#include "broker/heartbeat.h"
#include <config.h>

#define SYSTEM_RUNDIR "/run/flux"
#define SYSTEM_DIR    FLUX_SYSCONFDIR "/system/conf.d"

static const struct {
    const char *table, *key;
} booleans[] = {
    { "access", "allow-guest-user" },
    { "access", "allow-root-owner" },
    { "broker", "safe-mode" },
};

static int check(const json_t *o, flux_error_t *error)
{
    double period;

    for (size_t i = 0; i < ARRAY_SIZE(booleans); i++) {
        const json_t *table = json_object_get(o, booleans[i].table);
        const json_t *value = json_object_get(table, booleans[i].key);

        if (table && !json_is_object(table))
            return errorx_fail(error, EINVAL, "%s: must be a table", booleans[i].table);
        if (value && !json_is_boolean(value))
            return errorx_fail(error, EINVAL, "%s.%s: must be true or false", booleans[i].table,
                               booleans[i].key);
    }
    return heartbeat_period(o, &period, error);
}

static int load(const char *path, json_t **ret, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = path ? toml_parse_dir(path, error) : json_object();
    int rc;

    if (!o)
        return errno > 0 ? -errno : -ENOMEM;
    rc = check(o, error);
    if (rc < 0)
        return rc;
    *ret = TAKE(o);
    return 0;
}

int broker_config_load(struct broker_config *c, const char *path, const char *rundir,
                       flux_error_t *error)
{
    const char *dir = path ? path : getenv("FLUX_CONF_DIR");

    if (!dir && strcmp(rundir, SYSTEM_RUNDIR) == 0 && access(SYSTEM_DIR, F_OK) == 0)
        dir = SYSTEM_DIR;
    *c = (struct broker_config){ 0 };
    if (dir && *dir && !(c->path = strdup(dir)))
        return -ENOMEM;
    return load(c->path, &c->o, error);
}

int broker_config_reload(struct broker_config *c, flux_error_t *error)
{
    json_t *o;
    const int rc = load(c->path, &o, error);

    if (rc < 0)
        return rc;
    json_decref(c->o);
    c->o = o;
    return 0;
}

void broker_config_deinit(struct broker_config *c)
{
    json_decref(c->o);
    free(c->path);
    *c = (struct broker_config){ 0 };
}

bool broker_config_flag(const struct broker_config *c, const char *table, const char *key)
{
    return json_is_true(json_object_get(json_object_get(c->o, table), key));
}
