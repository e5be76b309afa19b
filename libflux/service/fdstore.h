/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The service manager's descriptor store: what a process leaves there, the next one finds among its
 * inherited descriptors, by name (sd_notify(3), FDSTORE). */
#ifndef SERVICE_FDSTORE_H
#define SERVICE_FDSTORE_H

#include <jansson.h>
#include <stdbool.h>

struct service;

/* Is there a service manager that may keep descriptors? */
bool fdstore_possible(void);
/* A copy of fd goes to the store. 0 or -errno; the manager may still refuse (the store is full),
 * which it tells nobody. */
int fdstore_put(const char *name, int fd);
/* The same with a JSON object in a sealed memfd. */
int fdstore_put_json(const char *name, const json_t *o);
/* Wait, for a moment, until the manager has handled all that was put: it forgets who sent a
 * notification once that process is gone. */
void fdstore_settle(void);

/* Forget those of that name. */
void fdstore_remove(const char *name);

/* Take a descriptor out of the store: it is ours alone then, and closing it closes it. -ENOENT. */
int fdstore_take(struct service *svc, const char *name);
/* The object; NULL: there is none, or not such as fdstore_put_json() makes. */
json_t *fdstore_take_json(struct service *svc, const char *name);

#endif
