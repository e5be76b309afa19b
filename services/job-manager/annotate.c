/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Annotations of the scheduler (RFC 27): kept in memory and told to the journal while the job
 * waits, recorded with its `alloc` event. */
#include <errno.h>

#include "manager.h"

int annotate_merge(json_t *to, json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach (from, key, value) {
        json_t *old = json_object_get(to, key);
        int rc;

        if (json_is_null(value)) {
            (void)json_object_del(to, key);
            continue;
        }
        if (json_is_object(old) && json_is_object(value))
            rc = annotate_merge(old, value);
        else
            rc = json_object_set_new(to, key, json_deep_copy(value)) < 0 ? -ENOMEM : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int annotate_job(struct manager *m, struct job *job, json_t *annotations)
{
    int rc;

    (void)m;
    if (!json_is_object(annotations))
        return -EPROTO;
    if (!job->annotations)
        job->annotations = json_object();
    if (!job->annotations)
        return -ENOMEM;
    rc = annotate_merge(job->annotations, annotations);
    if (json_object_size(job->annotations) == 0) {
        json_decref(job->annotations);
        job->annotations = NULL;
    }
    return rc;
}
