/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The daemon: its parts and their connections. */
#ifndef JOB_INGEST_INGEST_H
#define JOB_INGEST_INGEST_H

#include <flux/core.h>
#include "base/fluid.h"
#include "service/service.h"
#include "batch.h"

struct announcement; /* a stored batch, to be told to the job manager */
LIST_HEAD(announcement_list, announcement);

struct depend_check;
LIST_HEAD(depend_check_list, depend_check);

struct ingest {
    struct service *svc;
    flux_t *h;
    struct fluid_generator ids;
    struct batch waiting;    /* for the commit in flight to end */
    struct batch committing; /* in the commit in flight */
    flux_future_t *commit;
    flux_watcher_t *prepare;
    struct announcement_list announcements;
    struct depend_check_list depend_checks;
    size_t naccepted; /* submissions that are not answered yet */
    bool stopping;
    bool disabled; /* by the administrator; what the job manager says */
    char *disable_reason;
    /* counters */
    uint64_t nsubmitted, nrefused, ncommits;
};

int ingest_new(struct service *svc, struct ingest **ret);
struct ingest *ingest_free(struct ingest *in);
DEFINE_CLEANUP(struct ingest *, ingest_free)

/* commit.c */
int commit_open(struct ingest *in);
void commit_close(struct ingest *in);

/* announce.c: tell the job manager until it knows, then answer. Empties b. */
int announce(struct ingest *in, struct batch *b);
int announce_active(struct ingest *in, const json_t *ids); /* job-manager.rescan */
void announce_answer(struct ingest *in);                   /* without it: the jobs are stored */
void announce_close(struct ingest *in);

/* depend.c: ask for the jobs that s depends on, then ingest_take() or ingest_refuse() it. 0, or
 * -ENOMEM: s is the caller's still. */
int depend_check(struct ingest *in, struct submission *s);
void depend_close(struct ingest *in);

/* load.c: ids in use. *ret_ids: array of the active ones. */
int load_ids(struct ingest *in, json_t **ret_ids);

/* What the job manager says of submission: {"enable":BOOL, "disable_reason"?:TEXT, ...}. load.c
 * reads it from where the job manager keeps it. 0, -EPROTO, -ENOMEM. */
int ingest_admission(struct ingest *in, json_t *o);
int load_admission(struct ingest *in);

/* Gives s an id, to be stored with the next commit; takes s. */
void ingest_take(struct ingest *in, struct submission *s);
void ingest_answer(struct ingest *in, struct submission *s); /* takes s */
void ingest_refuse(struct ingest *in, struct submission *s, int errnum, const char *why); /* same */

extern const struct service_desc ingest_desc;

#endif
