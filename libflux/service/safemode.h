/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Safe mode: the run before had no end in good order, so no job is accepted nor started until the
 * administrator has looked. The router says so; job-manager keeps that it was said, as the setting
 * of the queue, once for each run. */
#ifndef SERVICE_SAFEMODE_H
#define SERVICE_SAFEMODE_H

/* Attribute: the id of the run that began like that; there is none in other runs. */
#define SAFE_MODE_ATTR "broker.safe-mode"
/* In "job-state.queue": the run for which job-manager has closed the queue last. */
#define SAFE_MODE_KEY    "safe_run"
#define SAFE_MODE_REASON "Flux was not shut down properly, see flux startlog"

#endif
