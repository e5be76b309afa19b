/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A table of the configuration that outlives the process which goes by it: a daemon that refuses a
 * new one keeps the old, and so does the next process, which finds it in the descriptor store. So
 * what runs goes on, whatever somebody wrote into a file meanwhile. The store ends with the
 * instance: whoever starts one with a bad configuration is told. */
#include "base/cleanup.h"
#include "service/fdstore.h"
#include "service/lastgood.h"
#include "service/log.h"

#define FD_NAME "lastgood"

void lastgood_keep(const json_t *table)
{
    CLEANUP(json_decrefp) json_t *none = json_object();

    fdstore_remove(FD_NAME);
    (void)fdstore_put_json(FD_NAME, table ? table : none);
}

int lastgood_parse(struct service *svc, const char *name, lastgood_parse_f parse, void *arg,
                   flux_error_t *error)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_CONFIG_BAD, NULL };
    CLEANUP(json_decrefp) json_t *old = fdstore_take_json(svc, FD_NAME);
    const json_t *table = service_config_get(svc, name);
    flux_error_t ignored;
    int rc = parse(table, arg, error);

    if (rc < 0 && old && parse(old, arg, &ignored) == 0) {
        log_fields(LOG_ERR, fields, "the configuration is refused, [%s] stays as it was: %s", name,
                   error->text);
        table = old;
        rc = 0;
    }
    if (rc == 0)
        lastgood_keep(table);
    return rc;
}

void lastgood_forget(void)
{
    fdstore_remove(FD_NAME);
}
