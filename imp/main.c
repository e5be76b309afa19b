/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-imp: the one privileged program. Started by systemd for each connection to RUNDIR/imp, as
 * root, with the connection as stdin; serves its requests one by one and exits when no other comes.
 * It asks PID 1 for job units and
 * signals them, nothing else: it opens no file, runs no program, reads no configuration, and what
 * it runs is compiled in. It talks to the owner of the system instance (FLUX_OWNER) only, whom the
 * kernel names (SO_PEERCRED).
 *
 * First version: jobs of the instance owner. Signed requests of other users come with multi-user.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "config.h"
#include "request.h"
#include "unit.h"

#define PEER_TIMEOUT 10   /* seconds a peer may take to send a request; flux-exec hangs up sooner */
#define REQUESTS_MAX 1000 /* then a new process */

enum served { SERVED, PEER_GONE, REFUSED };

static void log_request(const struct imp_request *req, uid_t peer, const char *event,
                        const char *text)
{
    char jobid[40], userid[40], caller[40];

    (void)snprintf(jobid, sizeof(jobid), "FLUX_JOBID=%" PRIu64, req->jobid);
    (void)snprintf(userid, sizeof(userid), "FLUX_USERID=%" PRIu32, req->userid);
    (void)snprintf(caller, sizeof(caller), "FLUX_CALLER=%ju", (uintmax_t)peer);
    (void)sd_journal_send("PRIORITY=5", "SYSLOG_IDENTIFIER=flux-imp", "FLUX_SERVICE=imp",
                          "FLUX_EVENT=%s", event, "%s", jobid, "%s", userid, "%s", caller,
                          "MESSAGE=%s", text, NULL);
}

static void answer(const char *text, size_t size)
{
    (void)send(STDIN_FILENO, text, size, MSG_NOSIGNAL);
}

/* The peer is told why. */
static enum served refuse(uid_t peer, const char *why)
{
    char text[320];
    const int n = snprintf(text, sizeof(text), "error=%s", why);

    (void)sd_journal_send("PRIORITY=4", "SYSLOG_IDENTIFIER=flux-imp", "FLUX_SERVICE=imp",
                          "FLUX_EVENT=refused", "FLUX_CALLER=%ju", (uintmax_t)peer,
                          "MESSAGE=refused a request of user %ju: %s", (uintmax_t)peer, why, NULL);
    answer(text, (n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1) + 1);
    return REFUSED;
}

/* A request that was in order, but could not be done: others may be. */
static enum served fail(uid_t peer, const char *why)
{
    (void)refuse(peer, why);
    return SERVED;
}

static enum served serve_start(const struct imp_request *req, uid_t peer)
{
    struct unit_error error = { .text = "" };
    char text[96];
    static const char stopping[] = "stopping=1";
    uint32_t pid = 0;
    const int rc = unit_start(req, &pid, &error);

    if (rc == -ESHUTDOWN) {
        answer(stopping, sizeof(stopping));
        return SERVED;
    }
    if (rc < 0)
        return fail(peer, error.text);
    (void)snprintf(text, sizeof(text), "pid=%" PRIu32, pid);
    answer(text, strlen(text) + 1);
    (void)snprintf(text, sizeof(text),
                   "started job %" PRIu64 " of user %" PRIu32 ", process %" PRIu32, req->jobid,
                   req->userid, pid);
    log_request(req, peer, "launch", text);
    return SERVED;
}

static enum served serve_kill(const struct imp_request *req, uid_t peer)
{
    struct unit_error error = { .text = "" };
    static const char ok[] = "ok=1";

    if (unit_kill(req, &error) < 0)
        return fail(peer, error.text);
    answer(ok, sizeof(ok));
    return SERVED;
}

static enum served serve_list(uid_t peer)
{
    struct unit_error error = { .text = "" };
    static const char none[] = "ok=1";
    char *text = NULL;
    size_t size = 0;

    if (unit_list(&text, &size, &error) < 0)
        return fail(peer, error.text);
    if (size > 0)
        answer(text, size);
    else
        answer(none, sizeof(none));
    free(text);
    return SERVED;
}

static enum served serve(uid_t peer, uid_t owner)
{
    char data[IMP_REQUEST_MAX + 1];
    struct imp_request req;
    const char *why;
    const ssize_t n = recv(STDIN_FILENO, data, sizeof(data), MSG_TRUNC);

    if (n <= 0)
        return PEER_GONE; /* or it sent nothing for long */
    if ((size_t)n > sizeof(data))
        return refuse(peer, "the request is empty or too long");
    if (imp_request_parse(data, (size_t)n, &req, &why) < 0)
        return refuse(peer, why);
    why = imp_request_refuse(&req, peer, owner);
    if (why)
        return refuse(peer, why);
    switch (req.verb) {
    case IMP_START:
        return serve_start(&req, peer);
    case IMP_KILL:
        return serve_kill(&req, peer);
    case IMP_LIST:
        return serve_list(peer);
    }
    return REFUSED;
}

int main(void)
{
    const struct timeval timeout = { .tv_sec = PEER_TIMEOUT };
    struct ucred peer;
    socklen_t size = sizeof(peer);
    const struct passwd *pw;

    (void)clearenv();
    (void)umask(077);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)close_range(3, ~0u, 0);
    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
        (void)fputs("flux-imp is started by systemd for each connection (flux-imp.socket)\n",
                    stderr);
        return EXIT_FAILURE;
    }
    (void)setsockopt(STDIN_FILENO, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(STDIN_FILENO, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    pw = getpwnam(FLUX_OWNER);
    if (!pw) {
        (void)refuse(peer.uid, "there is no user " FLUX_OWNER);
        return EXIT_FAILURE;
    }
    for (int i = 0; i < REQUESTS_MAX; i++) {
        const int rc = serve(peer.uid, pw->pw_uid);

        if (rc != SERVED)
            return rc == PEER_GONE ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
