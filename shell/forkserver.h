/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Between flux-exec and a flux-shell that is loaded and forks the shells of jobs: one record for
 * each request and each answer, over the SEQPACKET socket that the server got as descriptor
 * FORKSERVER_FD. Both sides are of one build or, while the software is being replaced, refuse each
 * other by the version. */
#ifndef SHELL_FORKSERVER_H
#define SHELL_FORKSERVER_H

#include <stdint.h>
#include <flux/core.h>

#define FORKSERVER_OPTION  "fork-server-version" /* = FORKSERVER_VERSION */
#define FORKSERVER_VERSION "1"
#define FORKSERVER_FD      4

struct forkserver_request {
    uint64_t tag; /* not 0 */
    uint64_t id;  /* job */
};

struct forkserver_answer {
    uint64_t tag; /* of the request; 0: the server is ready */
    int64_t pid;  /* > 0: from the shell itself, a child of the server's parent. < 0: -errno */
};

/* Serve until flux-exec closes the socket, then exit. Returns only in a shell that was forked: the
 * leader of a session, FLUX_JOB_ID set, as if executed with that job's id. argv: of main(). */
void forkserver_run(char **argv, flux_jobid_t *ret_id);

#endif
