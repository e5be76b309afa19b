/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A single-user instance under the user's own systemd. */
#ifndef SUPERVISE_USERINSTANCE_H
#define SUPERVISE_USERINSTANCE_H

#include "supervise/supervisor.h"

/* Starts, runs the program, stops, removes everything. The exit status: the program's, 128+SIGNAL,
 * or 1 when the instance did not come up. Complains on stderr. */
int userinstance_run(const struct supervisor_options *opts, bool verbose);

#endif
