/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Large raw payloads. "bulk serve NAME": a service whose method NAME.echo answers with what it got.
 * "bulk send NAME RANK BYTES [TIMES]": calls it, compares, and prints the seconds of each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <flux/core.h>

static double now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int fail(const char *what)
{
    perror(what);
    return EXIT_FAILURE;
}

static void on_echo(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const void *data;
    int size;

    if (flux_request_decode_raw(msg, NULL, &data, &size) < 0 ||
        flux_respond_raw(h, msg, data, size) < 0)
        (void)flux_respond_error(h, msg, errno, NULL);
}

static int serve(flux_t *h, const char *name)
{
    struct flux_match match = FLUX_MATCH_REQUEST;
    flux_msg_handler_t *mh;
    flux_future_t *f;
    char topic[64];

    (void)snprintf(topic, sizeof(topic), "%s.echo", name);
    match.topic_glob = topic;
    mh = flux_msg_handler_create(h, match, on_echo, NULL);
    f = flux_service_register(h, name);
    if (!mh || !f || flux_rpc_get(f, NULL) < 0)
        return fail("serve");
    flux_future_destroy(f);
    flux_msg_handler_start(mh);
    puts("ready");
    (void)fflush(stdout);
    return flux_reactor_run(flux_get_reactor(h), 0) < 0 ? fail("serve") : EXIT_SUCCESS;
}

static int send_once(flux_t *h, const char *topic, uint32_t rank, const char *data, size_t size)
{
    const double began = now();
    flux_future_t *f = flux_rpc_raw(h, topic, data, size, rank, 0);
    const void *back;
    int n;

    if (!f || flux_rpc_get_raw(f, &back, &n) < 0) {
        fprintf(stderr, "%s\n", f ? flux_future_error_string(f) : "no memory");
        return EXIT_FAILURE;
    }
    if (n < 0 || (size_t)n != size || memcmp(back, data, size) != 0) {
        fputs("what came back is something else\n", stderr);
        return EXIT_FAILURE;
    }
    printf("%.3f\n", now() - began);
    flux_future_destroy(f);
    return EXIT_SUCCESS;
}

static int send_all(flux_t *h, char **argv, int times)
{
    const size_t size = strtoul(argv[2], NULL, 10);
    char *data = malloc(size);
    char topic[64];
    int rc = EXIT_SUCCESS;

    if (!data)
        return fail("send");
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    (void)snprintf(topic, sizeof(topic), "%s.echo", argv[0]);
    for (int i = 0; i < times && rc == EXIT_SUCCESS; i++)
        rc = send_once(h, topic, (uint32_t)strtoul(argv[1], NULL, 10), data, size);
    free(data);
    return rc;
}

int main(int argc, char **argv)
{
    flux_t *h = flux_open(NULL, 0);
    int rc = 2;

    if (!h)
        return fail("flux_open");
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        rc = serve(h, argv[2]);
    else if ((argc == 5 || argc == 6) && strcmp(argv[1], "send") == 0)
        rc = send_all(h, argv + 2, argc == 6 ? atoi(argv[5]) : 1);
    else
        fputs("usage: bulk serve NAME | bulk send NAME RANK BYTES [TIMES]\n", stderr);
    flux_close(h);
    return rc;
}
