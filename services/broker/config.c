/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Loading TOML. Refuses a file that is not TOML, keys of [access] that are not booleans, since
 * they open doors, and a [heartbeat] that is none. The rest of the tables belongs to the services,
 * which check their own. */
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/toml.h"
#include "broker/config.h"
#include "broker/heartbeat.h"
#include <config.h>

#define SYSTEM_RUNDIR "/run/flux"
#define SYSTEM_DIR    FLUX_SYSCONFDIR "/system/conf.d"

static const char *const access_keys[] = { "allow-guest-user", "allow-root-owner" };

static int check(const json_t *o, flux_error_t *error)
{
    const json_t *table = json_object_get(o, "access");
    double period;

    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "access: must be a table");
    for (size_t i = 0; i < ARRAY_SIZE(access_keys); i++) {
        const json_t *value = json_object_get(table, access_keys[i]);

        if (value && !json_is_boolean(value))
            return errorx_fail(error, EINVAL, "access.%s: must be true or false", access_keys[i]);
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
