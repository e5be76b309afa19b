/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl dmesg, logger: read and write the log of the instance on this node. dmesg works without a
 * running instance too, because that is when logs are read: the files are found beside the socket
 * that FLUX_URI names, and the journal needs nobody. */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "families.h"
#include "log-files.h"
#include "log-journal.h"

struct printing {
    int level; /* records above it are left out */
    const char *service;
};

static void print_record(const struct log_record *r, void *arg)
{
    const struct printing *p = arg;

    if (r->level > p->level || (p->service && strcmp(p->service, r->service) != 0))
        return;
    log_record_print(r, stdout);
    (void)fflush(stdout);
}

/* RUNDIR/log of the instance FLUX_URI names. */
static void log_dir(char *buf, size_t size)
{
    const char *uri = getenv("FLUX_URI");
    const char *path = uri && strncmp(uri, "local://", 8) == 0 ? uri + 8 : "/run/flux/local";
    const char *slash = strrchr(path, '/');

    snprintf(buf, size, "%.*s/log", slash ? (int)(slash - path) : 0, path);
}

/* Asks the router, if it is there. */
static void instance_name(char *buf, size_t size)
{
    CLEANUP(flux_closep) flux_t *h = flux_open(NULL, 0);
    const char *s = h ? flux_attr_get(h, "instance-name") : NULL;

    snprintf(buf, size, "%s", s ? s : "flux");
}

static int run_dmesg(const struct cmdline *c)
{
    struct printing p = { .service = cmdline_string(c, "service", NULL) };
    int follow = cmdline_has(c, "follow");
    const char *level = cmdline_string(c, "level", "debug");
    char dir[PATH_MAX], instance[96];
    int rc;

    if ((p.level = log_level_parse(level)) < 0)
        return complain("--level must be emerg, alert, crit, err, warning, notice, info or debug, "
                        "not '%s'",
                        level);
    log_dir(dir, sizeof(dir));
    if (access(dir, R_OK) == 0) {
        if ((rc = log_files_read(dir, follow, print_record, &p)) < 0)
            return complain("cannot read the log in %s: %s", dir, strerror(-rc));
        return EXIT_SUCCESS;
    }
    instance_name(instance, sizeof(instance));
    rc = log_journal_read(instance, follow, print_record, &p);
    if (rc == -ENOSYS)
        return complain("there is no log in %s, and libsystemd, which could read the journal, is "
                        "not installed",
                        dir);
    return rc < 0 ? complain("cannot read the journal: %s", strerror(-rc)) : EXIT_SUCCESS;
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
