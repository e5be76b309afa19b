/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl dmesg, logger: read and write the log of the instance on this node. dmesg works without a
 * running instance too, because that is when logs are read: the files are found beside the socket
 * that FLUX_URI names, and the journal needs nobody. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "families.h"
#include "log-files.h"
#include "log-journal.h"

/* The attribute that says when the log was cleared, in microseconds since 1970. Nothing is removed
 * from the journal or the files: dmesg hides what is older. */
#define CLEARED "log-cleared"

struct printing {
    int level; /* records above it are left out */
    const char *service;
    uint64_t since_usec; /* and older ones */
    uint64_t last_usec;  /* of the last record seen */
};

static void print_record(const struct log_record *r, void *arg)
{
    struct printing *p = arg;

    p->last_usec = r->usec;
    if (r->level > p->level || r->usec <= p->since_usec ||
        (p->service && strcmp(p->service, r->service) != 0))
        return;
    log_record_print(r, stdout);
    output_flush();
}

/* RUNDIR/log of the instance FLUX_URI names. */
static void log_dir(char *buf, size_t size)
{
    const char *uri = getenv("FLUX_URI");
    const char *path = uri && strncmp(uri, "local://", 8) == 0 ? uri + 8 : "/run/flux/local";
    const char *slash = strrchr(path, '/');

    snprintf(buf, size, "%.*s/log", slash ? (int)(slash - path) : 0, path);
}

/* Of the router, if it is there: h may be NULL. */
static const char *attribute(flux_t *h, const char *name, const char *fallback)
{
    const char *s = h ? flux_attr_get(h, name) : NULL;

    return s ? s : fallback;
}

static uint64_t cleared_usec(flux_t *h)
{
    uint64_t usec;

    return number_parse_u64(attribute(h, CLEARED, "0"), UINT64_MAX, &usec) < 0 ? 0 : usec;
}

/* Hide what is not newer than this. */
static int clear(uint64_t usec)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    char text[32];

    if (!h)
        return EXIT_FAILURE;
    snprintf(text, sizeof(text), "%" PRIu64, usec);
    answer = client_call(h, "attr.set", json_pack("{s:s s:s}", "name", CLEARED, "value", text),
                         "clear the log");
    return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_log(const struct cmdline *c, uint64_t *ret_last_usec)
{
    CLEANUP(flux_closep) flux_t *h = flux_open(NULL, 0);
    struct printing p = { .service = cmdline_string(c, "service", NULL) };
    int follow = cmdline_has(c, "follow");
    const char *level = cmdline_string(c, "level", "debug");
    char dir[PATH_MAX];
    int rc;

    if ((p.level = log_level_parse(level)) < 0)
        return complain("--level must be emerg, alert, crit, err, warning, notice, info or debug, "
                        "not '%s'",
                        level);
    p.since_usec = cleared_usec(h);
    log_dir(dir, sizeof(dir));
    if (access(dir, R_OK) == 0) {
        if ((rc = log_files_read(dir, follow, print_record, &p)) < 0)
            return complain("cannot read the log in %s: %s", dir, strerror(-rc));
        *ret_last_usec = p.last_usec;
        return EXIT_SUCCESS;
    }
    rc = log_journal_read(attribute(h, "instance-name", "flux"), follow, print_record, &p);
    if (rc == -ENOSYS)
        return complain("there is no log in %s, and libsystemd, which could read the journal, is "
                        "not installed",
                        dir);
    *ret_last_usec = p.last_usec;
    return rc < 0 ? complain("cannot read the journal: %s", strerror(-rc)) : EXIT_SUCCESS;
}

static int run_dmesg(const struct cmdline *c)
{
    uint64_t last_usec = 0;
    int status;

    if (refuse_both(c, "clear", "follow") < 0 || refuse_both(c, "read-clear", "follow") < 0)
        return EXIT_FAILURE;
    if (cmdline_has(c, "clear"))
        return clear((uint64_t)(walltime() * 1E6));
    status = print_log(c, &last_usec);
    return status == EXIT_SUCCESS && cmdline_has(c, "read-clear") ? clear(last_usec) : status;
}

static int run_logger(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(freep) char *text = cmdline_join(c, 0);
    const char *severity = cmdline_string(c, "severity", "info");
    int level = log_level_parse(severity);

    if (level < 0)
        return complain("--severity must be emerg, alert, crit, err, warning, notice, info or "
                        "debug, not '%s'",
                        severity);
    if (!text)
        return complain("out of memory");
    if (!(h = client_open()))
        return EXIT_FAILURE;
    flux_log_set_appname(h, cmdline_string(c, "appname", "logger"));
    if (flux_log(h, level, "%s", text) < 0)
        return complain("cannot log: %s", strerror(errno));
    return EXIT_SUCCESS;
}

static const struct option dmesg_options[] = {
    { 'C', "clear", NULL, "Show nothing, and from now on newer records only" },
    { 'c', "read-clear", NULL, "Show the log, and from now on newer records only" },
    { 'f', "follow", NULL, "Go on with records as they are written" },
    { 'l', "level", "LEVEL", "Leave out what is less urgent than this" },
    { 's', "service", "NAME", "Records of one service" },
    { 0 },
};
static const struct option logger_options[] = {
    { 's', "severity", "LEVEL", "emerg to debug (default info)" },
    { 'n', "appname", "NAME", "Name of the program (default logger)" },
    { 0 },
};

const struct command cmd_log[] = {
    { "dmesg", NULL, "Print the log of the instance on this node", dmesg_options, 0, 0, 0,
      run_dmesg },
    { "logger", "MESSAGE...", "Write to the log of the instance", logger_options, 1, -1, 0,
      run_logger },
    { 0 },
};
