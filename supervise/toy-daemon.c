/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A daemon for the tests of flux-supervise. Serves one-word requests, a record each, and says what
 * it was given: "pid" "env NAME" "fds" "crash" "exit N" "hang" "store NAME" "quiet". Every start is
 * a line in the file that $TOY_LOG names. With --slow it takes 1.5 s to be ready, and says so. */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/cleanup.h"

#define MAX_FDS 16

static struct pollfd fds[MAX_FDS];
static nfds_t nfds;
static bool quiet;

static void log_start(void)
{
    CLEANUP(fclosep) FILE *f = fopen(getenv("TOY_LOG"), "a");

    fprintf(f, "%d %s\n", (int)getpid(), getenv("LISTEN_FDNAMES") ? getenv("LISTEN_FDNAMES") : "");
}

static void answer(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void answer_number(int fd, long n)
{
    char buf[32];

    (void)snprintf(buf, sizeof(buf), "%ld", n);
    answer(fd, buf);
}

static void handle(int fd, const char *request)
{
    const char *value;

    if (strcmp(request, "pid") == 0)
        answer_number(fd, getpid());
    else if (strncmp(request, "env ", 4) == 0)
        answer(fd, (value = getenv(request + 4)) ? value : "(unset)");
    else if (strcmp(request, "crash") == 0)
        (void)raise(SIGKILL);
    else if (strncmp(request, "exit ", 5) == 0)
        _exit((int)strtol(request + 5, NULL, 10));
    else if (strcmp(request, "hang") == 0)
        (void)pause();
    else if (strcmp(request, "quiet") == 0)
        quiet = true;
    else if (strncmp(request, "store ", 6) == 0) {
        char state[160];

        (void)snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", request + 6);
        (void)sd_pid_notify_with_fds(0, 0, state, &fd, 1);
        answer(fd, "stored");
    }
}

static void serve(nfds_t i)
{
    char request[128];
    ssize_t n;

    if (sd_is_socket(fds[i].fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0) {
        int fd = accept4(fds[i].fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0 && nfds < MAX_FDS)
            fds[nfds++] = (struct pollfd){ .fd = fd, .events = POLLIN };
        return;
    }
    n = recv(fds[i].fd, request, sizeof(request) - 1, 0);
    if (n <= 0) {
        (void)close(fds[i].fd);
        fds[i] = fds[--nfds];
        return;
    }
    request[n] = '\0';
    handle(fds[i].fd, request);
}

static void start_slowly(void)
{
    for (int i = 0; i < 3; i++) {
        (void)sd_notify(0, "EXTEND_TIMEOUT_USEC=30000000");
        (void)poll(NULL, 0, 500);
    }
}

int main(int argc, char **argv)
{
    uint64_t watchdog = 0;
    int n;

    log_start();
    if (argc > 1 && strcmp(argv[1], "--fail") == 0)
        return 3;
    if (argc > 1 && strcmp(argv[1], "--slow") == 0)
        start_slowly();
    (void)sd_watchdog_enabled(0, &watchdog);
    n = sd_listen_fds(0);
    for (int i = 0; i < n && nfds < MAX_FDS; i++)
        fds[nfds++] = (struct pollfd){ .fd = SD_LISTEN_FDS_START + i, .events = POLLIN };
    (void)sd_notify(0, "READY=1\nSTATUS=toy is ready");
    for (;;) {
        n = poll(fds, nfds, watchdog > 0 ? (int)(watchdog / 3000) : -1);
        if (watchdog > 0 && !quiet)
            (void)sd_notify(0, "WATCHDOG=1");
        for (nfds_t i = nfds; n > 0 && i-- > 0;) {
            if (fds[i].revents)
                serve(i);
        }
    }
}
