/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs: submission, control, events (RFC 16, 19, 21). Futures fail with the error of the service
 * and its sentence. */
#ifndef FLUX_JOB_H
#define FLUX_JOB_H

#include <flux/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

enum job_submit_flags {
    FLUX_JOB_DEBUG = 2,
    FLUX_JOB_WAITABLE = 4,
    FLUX_JOB_NOVALIDATE = 8, /* instance owner only */
};

enum job_urgency {
    FLUX_JOB_URGENCY_MIN = 0,
    FLUX_JOB_URGENCY_HOLD = 0,
    FLUX_JOB_URGENCY_DEFAULT = 16,
    FLUX_JOB_URGENCY_EXPEDITE = 31,
    FLUX_JOB_URGENCY_MAX = 31,
};

#define FLUX_JOB_PRIORITY_MAX 4294967295u

typedef enum {
    FLUX_JOB_STATE_NEW = 1,
    FLUX_JOB_STATE_DEPEND = 2,
    FLUX_JOB_STATE_PRIORITY = 4,
    FLUX_JOB_STATE_SCHED = 8,
    FLUX_JOB_STATE_RUN = 16,
    FLUX_JOB_STATE_CLEANUP = 32,
    FLUX_JOB_STATE_INACTIVE = 64,
} flux_job_state_t;

#define FLUX_JOB_STATE_PENDING \
    (FLUX_JOB_STATE_DEPEND | FLUX_JOB_STATE_PRIORITY | FLUX_JOB_STATE_SCHED)
#define FLUX_JOB_STATE_RUNNING (FLUX_JOB_STATE_RUN | FLUX_JOB_STATE_CLEANUP)
#define FLUX_JOB_STATE_ACTIVE  (FLUX_JOB_STATE_PENDING | FLUX_JOB_STATE_RUNNING)

typedef enum {
    FLUX_JOB_RESULT_COMPLETED = 1,
    FLUX_JOB_RESULT_FAILED = 2,
    FLUX_JOB_RESULT_CANCELED = 4,
    FLUX_JOB_RESULT_TIMEOUT = 8,
} flux_job_result_t;

/* fmt: "S" or "s" for one letter, "L"/"l" for the word; upper or lower case as given. Never NULL.
 */
const char *flux_job_statetostr(flux_job_state_t state, const char *fmt);
int flux_job_strtostate(const char *s, flux_job_state_t *state);
const char *flux_job_resulttostr(flux_job_result_t result, const char *fmt);
int flux_job_strtoresult(const char *s, flux_job_result_t *result);

/* All encodings of RFC 19: dec, hex, dothex, words, f58 (U+0192 in a UTF-8 locale, else f),
 * f58plain. */
int flux_job_id_parse(const char *s, flux_jobid_t *id);
int flux_job_id_encode(flux_jobid_t id, const char *type, char *buf, size_t bufsz);

/* KVS path of a job in the primary namespace: "job.DOTHEX[.key]". Returns its length or -1
 * EOVERFLOW. */
int flux_job_kvs_key(char *buf, int bufsz, flux_jobid_t id, const char *key);
int flux_job_kvs_namespace(char *buf, int bufsz, flux_jobid_t id); /* "job-DECIMAL" */

/* jobspec: JSON text (RFC 25). It is signed with mechanism "none" for the instance owner. */
flux_future_t *flux_job_submit(flux_t *h, const char *jobspec, int urgency, int flags);
int flux_job_submit_get_id(flux_future_t *f, flux_jobid_t *id);

flux_future_t *flux_job_cancel(flux_t *h, flux_jobid_t id, const char *reason);
flux_future_t *flux_job_raise(flux_t *h, flux_jobid_t id, const char *type, int severity,
                              const char *note);
flux_future_t *flux_job_kill(flux_t *h, flux_jobid_t id, int signum);
flux_future_t *flux_job_set_urgency(flux_t *h, flux_jobid_t id, int urgency);

/* Wait for a job submitted with FLUX_JOB_WAITABLE (FLUX_JOBID_ANY: the next one). ECHILD if there
 * is none. */
flux_future_t *flux_job_wait(flux_t *h, flux_jobid_t id);
int flux_job_wait_get_id(flux_future_t *f, flux_jobid_t *id);
int flux_job_wait_get_status(flux_future_t *f, bool *success, const char **errstr);

/* Watch an eventlog of a job: "eventlog", "guest.exec.eventlog", "guest.output", "guest.input".
 * Each fulfilment is one event (one line of JSON); reset to go on; ENODATA at the end. */
flux_future_t *flux_job_event_watch(flux_t *h, flux_jobid_t id, const char *path, int flags);
int flux_job_event_watch_get(flux_future_t *f, const char **event);
int flux_job_event_watch_cancel(flux_future_t *f);

/* attrs: JSON array of attribute names, or "[\"all\"]". states/results: masks, 0 any. userid or
 * FLUX_USERID_UNKNOWN for all. since: only jobs inactive after that wall time. Response
 * {"jobs":[...]}. */
flux_future_t *flux_job_list(flux_t *h, int max_entries, const char *attrs, uint32_t userid,
                             int states);
flux_future_t *flux_job_list_id(flux_t *h, flux_jobid_t id, const char *attrs);

#ifdef __cplusplus
}
#endif

#endif
