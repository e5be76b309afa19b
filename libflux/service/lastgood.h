/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A table of the configuration, kept for the next process in case that one finds a bad one. */
#ifndef SERVICE_LASTGOOD_H
#define SERVICE_LASTGOOD_H

#include "service/service.h"

/* 0, or -errno with a sentence. */
typedef int (*lastgood_parse_f)(const json_t *table, void *arg, flux_error_t *error);

/* At the start: parses this table (NULL: there is none), and if it is refused the one by which the
 * process before this one went, and logs that. What is taken is kept for the next process. -errno
 * and why the configuration's is refused: there was none that could be taken. */
int lastgood_parse(struct service *svc, const char *name, lastgood_parse_f parse, void *arg,
                   flux_error_t *error);
/* Later: this is what we go by now. NULL: an empty one. */
void lastgood_keep(const json_t *table);
/* No process follows that is to know. */
void lastgood_forget(void);

#endif
