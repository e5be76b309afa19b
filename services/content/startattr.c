/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Asked of the router, once, before anything is served. */
#include <string.h>
#include <flux/core.h>
#include "content/startattr.h"

char *startattr_get(flux_t *h, const char *name)
{
    flux_future_t *f = flux_rpc_pack(h, "attr.get", FLUX_NODEID_ANY, 0, "{s:s}", "name", name);
    const char *value;
    char *copy = NULL;

    if (f && flux_rpc_get_unpack(f, "{s:s}", "value", &value) == 0)
        copy = strdup(value);
    flux_future_destroy(f);
    return copy;
}

int startattr_take(flux_t *h, struct settings *settings, flux_error_t *error)
{
    CLEANUP(freep) char *size = startattr_get(h, "content.purge-target-size");
    CLEANUP(freep) char *old = startattr_get(h, "content.purge-old-entry");
    CLEANUP(freep) char *limit = startattr_get(h, "content.blob-size-limit");
    CLEANUP(json_decrefp) json_t *table = json_object();
    struct settings s;
    int rc;

    if (size)
        (void)json_object_set_new(table, "purge-target-size", json_string(size));
    if (old)
        (void)json_object_set_new(table, "purge-old-entry", json_real(strtod(old, NULL)));
    if (limit)
        (void)json_object_set_new(table, "blob-size-limit", json_string(limit));
    if ((rc = settings_parse(table, true, &s, error)) < 0)
        return rc;
    if (size)
        settings->purge_target_size = s.purge_target_size;
    if (old)
        settings->purge_old_entry = s.purge_old_entry;
    if (limit)
        settings->blob_size_limit = s.blob_size_limit;
    return 0;
}
