/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Transient units of the system manager. */
#ifndef IMP_UNIT_H
#define IMP_UNIT_H

#include "request.h"

struct unit_error {
    char text[256]; /* a sentence */
};

/* Start flux-job-ID.service as user req->userid and wait until the shell was executed. Asking twice
 * finds the unit that is there. *ret_pid: its main process, 0 if it has ended already. 0,
 * -ESHUTDOWN (the node is being shut down: nothing was started; no sentence), or -errno. */
int unit_start(const struct imp_request *req, uint32_t *ret_pid, struct unit_error *error);
int unit_kill(const struct imp_request *req, struct unit_error *error);
/* "jobid=N" strings with their NULs; malloc'd. */
int unit_list(char **ret_text, size_t *ret_size, struct unit_error *error);

#endif
