/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Past jobs, in an SQLite file that may be deleted at any time: it is an index of what the KVS has.
 * What is put is seen by list and get at once, and kept with the next commit. */
#ifndef JOB_LIST_STORE_H
#define JOB_LIST_STORE_H

#include "job-list/query.h"

struct store;

struct store_counts {
    uint64_t completed, failed, canceled, timeout;
};

/* Opens or creates. A file that is damaged or of another version is deleted and made anew. One that
 * cannot be opened or created now (a full disk, no descriptors) is left alone, and the store is in
 * memory. 0, -errno with a sentence. */
int store_open(const char *path, struct store **ret, flux_error_t *error);
bool store_in_memory(const struct store *s);
/* Could the file be opened or created now? */
bool store_could_open(const char *path);
struct store *store_close(struct store *s); /* commits */
DEFINE_CLEANUP(struct store *, store_close)

/* Inactive jobs only. A job that is there already stays as it is. 0; -EIO: everything since the
 * last commit is lost, and store_count() says so. */
int store_put(struct store *s, const struct job *job);
/* It was purged. What is not there is ignored. 0, -EIO as above. */
int store_remove(struct store *s, flux_jobid_t id);
/* So many more purges are accounted for, with the next commit. 0, -EIO as above. */
int store_add_purged(struct store *s, uint64_t count);
uint64_t store_purged(const struct store *s);
int store_commit(struct store *s);
int store_clear(struct store *s);
size_t store_uncommitted(const struct store *s);

bool store_has(struct store *s, flux_jobid_t id);
/* All attributes. 0, -ENOENT, -EIO. */
int store_get(struct store *s, flux_jobid_t id, json_t **ret_attrs);
/* Append what matches to array, latest end first, until it has q->max_entries. -ETIME: the search
 * took longer than a query may. */
int store_list(struct store *s, const struct query *q, json_t *array);

/* Place of a job in the order of ends. */
struct store_place {
    double t_inactive;
    flux_jobid_t id;
};
/* Append [id, t_inactive] of the jobs that ended first after that place, max at most. 0, -errno. */
int store_oldest(struct store *s, struct store_place after, size_t max, json_t *array);
/* The same for one job. 0, -ENOENT, -errno. */
int store_locate(struct store *s, flux_jobid_t id, json_t *array);

uint64_t store_count(const struct store *s);
struct store_counts store_counts(const struct store *s);
/* The greatest "n-th to become inactive" of a stored job. */
uint64_t store_last(const struct store *s);

#endif
