/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The configuration as this daemon has it: a whole copy from the router, replaced as a whole. A
 * daemon that refuses a new one keeps the old. Invariant: never NULL, always an object. */
#include <string.h>

#include "base/jsonx.h"
#include "service/log.h"
#include "service/state.h"

const json_t *service_config(const struct service *svc)
{
    return svc->config;
}

json_t *service_config_get(const struct service *svc, const char *path)
{
    return jsonx_at(svc->config, path);
}

int service_set_config(struct service *svc, json_t *config, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *keep = config;
    int rc = 0;

    if (!json_is_object(config))
        return -EINVAL;
    if (svc->running && svc->desc->on_config)
        rc = svc->desc->on_config(config, svc->arg, error);
    if (rc < 0) {
        const char *fields[] = { "MESSAGE_ID=" LOG_ID_CONFIG_BAD, NULL };

        log_fields(LOG_ERR, fields, "the new configuration is refused, the old one stays: %s",
                   error->text[0] ? error->text : strerror(-rc));
        return rc;
    }
    json_decref(svc->config);
    svc->config = TAKE(keep);
    return 0;
}
