/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The files of the content store belong to flux-content: while it runs we ask it; else it is run as
 * a tool, as it is to write the file of a backup. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "content-admin.h"
#include "start.h"

#define CHECK_BLOBS 2000

/* --- flux-content as a tool */

struct tool {
    pid_t pid;
    FILE *pipe; /* its input or its output */
};

static char *find_daemon(void)
{
    struct start_layout layout = { .supervise = NULL };
    char *path =
        start_layout_find(&layout) < 0 ? NULL : start_layout_program(&layout, "flux-content");

    start_layout_deinit(&layout);
    return path;
}

/* argv[0] is filled in. mode: "w" or "r". */
static int tool_start(char **argv, const char *mode, struct tool *ret)
{
    CLEANUP(freep) char *path = find_daemon();
    bool write_to_it = *mode == 'w';
    int fds[2];

    if (!path || pipe2(fds, O_CLOEXEC) < 0)
        return complain("cannot run flux-content: %s", strerror(errno));
    argv[0] = path;
    if ((ret->pid = fork()) == 0) {
        if (dup2(fds[write_to_it ? 0 : 1], write_to_it ? STDIN_FILENO : STDOUT_FILENO) >= 0)
            (void)execv(path, argv);
        _exit(127);
    }
    (void)close(fds[write_to_it ? 0 : 1]);
    ret->pipe = fdopen(fds[write_to_it ? 1 : 0], mode);
    return ret->pid < 0 || !ret->pipe ? complain("cannot run %s: %s", path, strerror(errno))
                                      : EXIT_SUCCESS;
}

/* It has said itself what went wrong. */
static int tool_end(struct tool *t)
{
    int status = -1;

    if (t->pipe)
        (void)fclose(t->pipe);
    while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- reports */

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static int print_check(const json_t *o)
{
    json_int_t damaged = number(o, "damaged");
    json_int_t commits = number(o, "damaged-commits");
    bool broken = json_is_true(json_object_get(o, "broken"));
    const json_t *refs = json_object_get(o, "refs");
    const json_t *ref;
    size_t i;

    printf("%lld blobs with %lld bytes were read: %lld damaged\n", number(o, "looked"),
           number(o, "bytes"), damaged);
    json_array_foreach (refs, i, ref)
        printf("%s\n", json_string_value(ref));
    if ((json_int_t)i < damaged)
        printf("and %lld more\n", damaged - (json_int_t)i);
    if (number(o, "removed") > 0)
        printf("%lld were removed: what is stored again takes their place\n", number(o, "removed"));
    if (commits > 0)
        printf("%lld commits of the journal are damaged\n", commits);
    if (broken)
        printf("the database itself is damaged: not all of it could be read\n");
    return damaged > 0 || commits > 0 || broken ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_repair(const json_t *o)
{
    const char *kept = json_string_value(json_object_get(o, "kept"));

    printf("%lld blobs with %lld bytes and %lld roots are sound and in a new file\n",
           number(o, "blobs"), number(o, "bytes"), number(o, "roots"));
    if (number(o, "damaged") > 0)
        printf("%lld damaged blobs were left behind\n", number(o, "damaged"));
    if (number(o, "lost-roots") > 0)
        printf("%lld roots were left behind\n", number(o, "lost-roots"));
    if (json_is_true(json_object_get(o, "broken")))
        printf("parts of the old file could not be read\n");
    if (json_is_true(json_object_get(o, "empty")))
        printf("nothing was found; the store begins with what its journal has\n");
    if (kept && *kept)
        printf("the old file is %s\n", kept);
    return EXIT_SUCCESS;
}

static int run_offline(const char *what, const char *path, int (*print)(const json_t *o))
{
    char *argv[] = { NULL, (char *)what, (char *)path, NULL };
    CLEANUP(json_decrefp) json_t *report = NULL;
    struct tool t = { .pid = -1 };

    if (tool_start(argv, "r", &t) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    report = json_loadf(t.pipe, JSON_DISABLE_EOF_CHECK, NULL);
    if (tool_end(&t) != EXIT_SUCCESS || !report)
        return EXIT_FAILURE;
    return print(report);
}

/* --- check and repair while the daemon runs */

static void add_number(json_t *total, const json_t *o, const char *key)
{
    (void)json_object_set_new(total, key, json_integer(number(total, key) + number(o, key)));
}

static void add_report(json_t *total, const json_t *o)
{
    add_number(total, o, "looked");
    add_number(total, o, "bytes");
    add_number(total, o, "damaged");
    add_number(total, o, "removed");
    add_number(total, o, "damaged-commits");
    if (json_is_true(json_object_get(o, "broken")))
        (void)json_object_set_new(total, "broken", json_true());
    (void)json_array_extend(json_object_get(total, "refs"), json_object_get(o, "refs"));
}

/* A new report, or NULL: the future of the request that failed is *ret_f. */
static json_t *check_all(flux_t *h, bool remove, flux_future_t **ret_f)
{
    json_t *total = json_pack("{s:[]}", "refs");
    CLEANUP(json_decrefp) json_t *next = json_null();

    do {
        flux_future_t *f = flux_rpc_pack(h, "content.check", FLUX_NODEID_ANY, 0, "{s:i s:b s:O}",
                                         "limit", CHECK_BLOBS, "remove", remove, "next", next);
        json_t *o;

        if (!f || flux_rpc_get_unpack(f, "o", &o) < 0) {
            json_decref(total);
            *ret_f = f;
            return NULL;
        }
        add_report(total, o);
        json_decref(next);
        next = json_incref(json_object_get(o, "next"));
        flux_future_destroy(f);
    } while (next && !json_is_null(next));
    return total;
}

int content_admin_check(const struct cmdline *c)
{
    const char *path = cmdline_string(c, "path", NULL);
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(json_decrefp) json_t *report = NULL;

    if (path)
        return run_offline("--check", path, print_check);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    report = check_all(h, false, &f);
    return report ? print_check(report) : complain_future(f, "cannot check the store");
}

int content_admin_repair(const struct cmdline *c)
{
    const char *path = cmdline_string(c, "path", NULL);
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(json_decrefp) json_t *report = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;

    if (path)
        return run_offline("--repair", path, print_repair);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    /* A blob that is damaged can be taken out; a file that is needs a new one. */
    report = check_all(h, true, &f);
    if (report && !json_is_true(json_object_get(report, "broken"))) {
        (void)print_check(report);
        return EXIT_SUCCESS;
    }
    answer = client_call(h, "content.repair", NULL, "repair the store");
    return answer ? print_repair(answer) : EXIT_FAILURE;
}

/* --- info */

int content_admin_info(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *o = h ? client_call(h, "content.info", NULL, "ask the store") : NULL;

    if (!o)
        return EXIT_FAILURE;
    printf("%s\n", json_string_value(json_object_get(o, "path")));
    printf("%lld bytes, %lld of them free\n", number(o, "bytes"), number(o, "free-bytes"));
    printf("%lld bytes in %lld files of the journal\n", number(o, "journal-bytes"),
           number(o, "journal-files"));
    if (!json_is_true(json_object_get(o, "shrinks")))
        printf("made by an earlier version: it keeps its size, a backup of it does not\n");
    return EXIT_SUCCESS;
}

/* --- backup */

static int write_frame(FILE *f, const void *data, size_t size)
{
    uint32_t n = htonl((uint32_t)size);

    return fwrite(&n, sizeof(n), 1, f) == 1 && fwrite(data, 1, size, f) == size ? 0 : -EPIPE;
}

/* The header of a payload of content.commit. */
static json_t *frame_header(const void *data, size_t size)
{
    uint32_t n;

    if (size < sizeof(n))
        return NULL;
    memcpy(&n, data, sizeof(n));
    n = ntohl(n);
    return n > size - sizeof(n) ? NULL : json_loadb((const char *)data + sizeof(n), n, 0, NULL);
}

/* -1: has complained. Else the next row, or 0 at the end. */
static json_int_t copy_some(flux_t *h, json_int_t id, json_int_t row, FILE *f, json_int_t *damaged)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *answer = flux_rpc_pack(h, "content.backup-read", FLUX_NODEID_ANY, 0, "{s:I s:I}",
                                          "id", id, "row", row);
    CLEANUP(json_decrefp) json_t *header = NULL;
    const void *data;
    int size;

    if (!answer || flux_rpc_get_raw(answer, &data, &size) < 0) {
        (void)complain_future(answer, "cannot read the store");
        return -1;
    }
    if (!(header = frame_header(data, (size_t)size))) {
        (void)complain("cannot read the store: its answer makes no sense");
        return -1;
    }
    if (write_frame(f, data, (size_t)size) < 0)
        return -1; /* whoever reads has complained */
    *damaged += number(header, "damaged");
    return number(header, "next");
}

static int write_names(FILE *f, const json_t *names)
{
    CLEANUP(json_decrefp)
    json_t *header =
        json_pack("{s:[] s:O s:O s:b}", "blobs", "roots", json_object_get(names, "roots"),
                  "checkpoints", json_object_get(names, "checkpoints"), "end", 1);
    CLEANUP(freep) char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    CLEANUP(freep) char *frame = text ? malloc(sizeof(uint32_t) + strlen(text)) : NULL;
    uint32_t n;

    if (!frame)
        return -ENOMEM;
    n = htonl((uint32_t)strlen(text));
    memcpy(frame, &n, sizeof(n));
    memcpy(frame + sizeof(n), text, strlen(text));
    return write_frame(f, frame, sizeof(n) + strlen(text)) < 0 || fflush(f) == EOF ? -EPIPE : 0;
}

static int copy_all(flux_t *h, const json_t *names, FILE *f, json_int_t *damaged)
{
    json_int_t row = 0;

    do
        row = copy_some(h, number(names, "id"), row, f, damaged);
    while (row > 0);
    return row < 0 || write_names(f, names) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int content_admin_backup(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *names = h ? client_call(h, "content.backup-begin", NULL, "begin a backup") : NULL;
    const char *hash = json_string_value(json_object_get(names, "hash"));
    char *argv[] = { NULL, "--write", c->argv[0], (char *)hash, NULL };
    struct tool t = { .pid = -1 };
    json_int_t damaged = 0;
    int status;

    if (!names || tool_start(argv, "w", &t) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    (void)signal(SIGPIPE, SIG_IGN);
    status = copy_all(h, names, t.pipe, &damaged);
    if (tool_end(&t) != EXIT_SUCCESS || status != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (damaged > 0)
        return complain("%lld damaged blobs are not in the backup", (long long)damaged);
    return EXIT_SUCCESS;
}
