/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Any bytes as an eventlog: replayed or refused, never more. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "service/log.h"
#include "event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(job_unrefp) struct job *job = NULL;
    flux_error_t error;

    log_set_level(LOG_CRIT);
    if (size == 0 || job_new(1, &job) < 0)
        return 0;
    if (event_replay(job, (const char *)data, size, &error) == 0 &&
        job->state == JOB_STATE_INACTIVE)
        free(job_failure(job));
    return 0;
}
