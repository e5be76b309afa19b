/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Dependency URIs (RFC 26). Whether the scheme is known is for the instance to say. */
#include "dependency.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/jobspec.h"

/* "key=val&key=val": further keys of the dependency. */
static int add_parameters(json_t *dependency, char *query, flux_error_t *error)
{
    char *save = NULL;

    for (char *word = strtok_r(query, "&", &save); word; word = strtok_r(NULL, "&", &save)) {
        char *equals = strchr(word, '=');

        if (!equals || equals == word)
            return errorx_fail(error, EINVAL, "'%s' is not of the form key=val", word);
        *equals = '\0';
        if (json_object_get(dependency, word))
            return errorx_fail(error, EINVAL, "'%s' is given twice", word);
        if (json_object_set_new(dependency, word, json_string(equals + 1)) < 0)
            return errorx_fail(error, EINVAL, "'%s' is not valid UTF-8", word);
    }
    return 0;
}

int dependency_add(json_t *jobspec, const char *uri, flux_error_t *error)
{
    CLEANUP(freep) char *copy = strdup(uri);
    CLEANUP(json_decrefp) json_t *dependency = NULL;
    json_t *system = json_object_get(json_object_get(jobspec, "attributes"), "system");
    char *colon, *query;
    int rc;

    if (!copy)
        return -ENOMEM;
    if (!(colon = strchr(copy, ':')) || colon == copy || !colon[1] || colon[1] == '?')
        return errorx_fail(error, EINVAL, "'%s' is not of the form SCHEME:VALUE", uri);
    *colon = '\0';
    if ((query = strchr(colon + 1, '?')))
        *query++ = '\0';
    dependency = json_pack("{s:s s:s}", "scheme", copy, "value", colon + 1);
    if (!dependency)
        return errorx_fail(error, EINVAL, "'%s' is not valid UTF-8", uri);
    if (query && (rc = add_parameters(dependency, query, error)) < 0)
        return rc;
    if (!json_object_get(system, "dependencies"))
        (void)json_object_set_new(system, "dependencies", json_array());
    return json_array_append(json_object_get(system, "dependencies"), dependency) < 0 ? -ENOMEM : 0;
}
