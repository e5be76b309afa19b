/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the job of the enclosing instance was given, in which this instance runs. */
#ifndef RESOURCE_ENCLOSING_H
#define RESOURCE_ENCLOSING_H

#include "base/rset.h"
#include "service/service.h"

struct enclosing;

/* fn is called once, from the loop: r (lent) is the job's R, or NULL if this instance runs in no
 * job or its R cannot be had (the log says why). Blocks while it connects to a local socket. */
int enclosing_new(struct service *svc, void (*fn)(const struct rset *r, void *arg), void *arg,
                  struct enclosing **ret);
struct enclosing *enclosing_free(struct enclosing *e);

/* Which of the cores or GPUs that a node has the job was given there. Usually the node shows just
 * those (the process is bound to them), and they are counted from 0: then all. Else those with the
 * numbers in `given`; if they are not there, as many as were given. A node that shows fewer than
 * the instance around says to be there is believed to have them: that instance was told so. NULL:
 * no memory. */
struct idset *enclosing_share(const struct idset *given, const struct idset *has);

#endif
