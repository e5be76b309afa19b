/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Dates and times as people write them, for --begin-time. */
#ifndef FLUXCTL_DATETIME_H
#define FLUXCTL_DATETIME_H

#include <flux/types.h>

/* s to seconds since the epoch, in local time, seen from `now`: "+FSD"; "now"; "in 5 minutes", "in
 * an hour"; or a day (today, tomorrow, a weekday, YYYY-MM-DD) and a time (8am, 17:30[:15], noon,
 * midnight, morning, evening), in any order, one of which may be missing. A time without a day is
 * the next of its kind, a day without a time begins at midnight. 0 or -EINVAL with a sentence. */
int datetime_parse(const char *s, double now, double *ret, flux_error_t *error);

#endif
