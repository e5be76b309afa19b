/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Log records of daemons: built once as a list of "FIELD=value" strings and given to one sink,
 * chosen when the log is opened: JSON lines ($FLUX_LOG_DIR), the journal, or standard error when
 * neither is there. Where they go to files, they may be shown and copied as lines of text as well.
 * Refuses to fail: a record that cannot be written is lost. Invariant: at most
 * RECORD_FIELDS fields and MESSAGE_SIZE bytes of text a record, so that nothing from a peer makes
 * it grow. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "base/number.h"
#include "service/log-file.h"
#include "service/log.h"

#define RECORD_FIELDS 24
#define MESSAGE_SIZE  4096
#define FIELD_SIZE    128
#define JOURNAL_PATH  "/run/systemd/journal/socket"

enum sink { SINK_STDERR, SINK_JOURNAL, SINK_FILE };

static struct {
    enum sink sink;
    int level;
    int stderr_level; /* of those that are shown as well; -1: none */
    int copy_level;   /* and of those that are copied; -1: none */
    int copy_fd;      /* negative errno: could not be opened */
    char service[FIELD_SIZE];
    char field_instance[FIELD_SIZE];
    char field_service[FIELD_SIZE];
    char field_identifier[FIELD_SIZE];
    char field_rank[FIELD_SIZE]; /* empty: not known yet */
    char field_unit[FIELD_SIZE]; /* empty: not one of a user's manager */
    struct log_file file;
} state = { .level = LOG_INFO,
            .stderr_level = -1,
            .copy_level = -1,
            .copy_fd = -EBADF,
            .file = { .fd = -EBADF } };

static enum sink choose_sink(const char *service)
{
    const char *dir = getenv("FLUX_LOG_DIR");

    if (dir && *dir && log_file_open(&state.file, dir, service) == 0)
        return SINK_FILE;
    return access(JOURNAL_PATH, F_OK) == 0 ? SINK_JOURNAL : SINK_STDERR;
}

/* Journald asks the kernel for the unit of who has written, and a daemon that could not start may
 * be gone by then: what it said last would not be found by who asks for the messages of the unit.
 * For a user's unit a field says it as well. */
static void name_unit(void)
{
    CLEANUP(freep) char *unit = NULL;

    if (sd_pid_get_user_unit(0, &unit) >= 0)
        (void)snprintf(state.field_unit, FIELD_SIZE, "USER_UNIT=%s", unit);
}

static void read_level(const char *variable, int *level)
{
    const char *value = getenv(variable);

    if (value)
        (void)number_parse_int(value, LOG_EMERG, LOG_DEBUG, level);
}

static void open_copy(void)
{
    const char *path = getenv("FLUX_LOG_COPY");

    if (!path || !*path)
        return;
    state.copy_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (state.copy_fd < 0) {
        state.copy_fd = -errno;
        return;
    }
    state.copy_level = LOG_DEBUG;
    read_level("FLUX_LOG_COPY_LEVEL", &state.copy_level);
}

int log_copy_status(void)
{
    return state.copy_fd >= 0 || state.copy_fd == -EBADF ? 0 : state.copy_fd;
}

/* Of the two the one that shows more. */
static void read_stderr_levels(void)
{
    int critical = -1;

    read_level("FLUX_LOG_STDERR_LEVEL", &state.stderr_level);
    read_level("FLUX_LOG_CRITICAL_LEVEL", &critical);
    if (critical > state.stderr_level)
        state.stderr_level = critical;
}

void log_open(const char *instance, const char *service)
{
    (void)snprintf(state.service, sizeof(state.service), "%s", service);
    (void)snprintf(state.field_instance, FIELD_SIZE, "FLUX_INSTANCE=%s", instance);
    (void)snprintf(state.field_service, FIELD_SIZE, "FLUX_SERVICE=%s", service);
    (void)snprintf(state.field_identifier, FIELD_SIZE, "SYSLOG_IDENTIFIER=flux-%s", service);
    read_level("FLUX_LOG_LEVEL", &state.level);
    state.sink = choose_sink(service);
    if (state.sink == SINK_JOURNAL)
        name_unit();
    if (state.sink == SINK_FILE) {
        read_stderr_levels();
        open_copy();
    }
}

void log_set_rank(uint32_t rank)
{
    (void)snprintf(state.field_rank, FIELD_SIZE, "FLUX_RANK=%u", rank);
}

void log_set_level(int level)
{
    state.level = level;
}

static void write_journal(const char *const fields[], size_t nfields)
{
    struct iovec iov[RECORD_FIELDS];

    for (size_t i = 0; i < nfields; i++)
        iov[i] = (struct iovec){ .iov_base = (void *)fields[i], .iov_len = strlen(fields[i]) };
    (void)sd_journal_sendv(iov, (int)nfields);
}

/* "kvs.err[2]: text", as flux dmesg has it, after a time or nothing. One write is one line, whoever
 * else writes to the file. */
static void write_text(int fd, const char *stamp, int level, const char *text)
{
    static const char *const names[] = { "emerg",   "alert",  "crit", "err",
                                         "warning", "notice", "info", "debug" };
    const char *rank = strchr(state.field_rank, '=');
    char line[MESSAGE_SIZE + 3 * FIELD_SIZE];
    size_t len;

    (void)snprintf(line, sizeof(line), "%s%s.%s[%s]: %s", stamp, state.service,
                   names[level & LOG_PRIMASK], rank ? rank + 1 : "?", text);
    len = strlen(line);
    line[len] = '\n'; /* in place of the NUL */
    (void)!write(fd, line, len + 1);
}

static void copy(int level, const char *text)
{
    const double now = walltime();
    const time_t seconds = (time_t)now;
    char stamp[48];
    struct tm tm;
    size_t n;

    if (!gmtime_r(&seconds, &tm) || !(n = strftime(stamp, 32, "%Y-%m-%dT%H:%M:%S", &tm)))
        return;
    (void)snprintf(stamp + n, sizeof(stamp) - n, ".%06uZ ",
                   (unsigned int)((now - (double)seconds) * 1e6));
    write_text(state.copy_fd, stamp, level, text);
}

static bool has_field(const char *const fields[], const char *prefix)
{
    for (; fields && *fields; fields++)
        if (strncmp(*fields, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

static void log_record(int level, const char *const extra[], const char *fmt, va_list ap)
{
    char message[MESSAGE_SIZE] = "MESSAGE=";
    const size_t skip = strlen(message);
    char priority[FIELD_SIZE];
    const char *fields[RECORD_FIELDS] = { message, priority };
    size_t n = 2;
    const int saved_errno = errno;

    (void)vsnprintf(message + skip, sizeof(message) - skip, fmt, ap);
    (void)snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
    if (state.field_service[0]) {
        if (!has_field(extra, "SYSLOG_IDENTIFIER="))
            fields[n++] = state.field_identifier;
        fields[n++] = state.field_service;
        fields[n++] = state.field_instance;
    }
    if (state.field_rank[0])
        fields[n++] = state.field_rank;
    if (state.field_unit[0])
        fields[n++] = state.field_unit;
    for (; extra && *extra && n < RECORD_FIELDS; extra++)
        fields[n++] = *extra;

    if (level <= state.stderr_level)
        write_text(STDERR_FILENO, "", level, message + skip);
    if (level <= state.copy_level)
        copy(level, message + skip);
    if (level > state.level)
        ; /* to be seen or copied only */
    else if (state.sink == SINK_FILE)
        log_file_write(&state.file, fields, n);
    else if (state.sink == SINK_JOURNAL)
        write_journal(fields, n);
    else
        (void)fprintf(stderr, "flux-%s: %s\n", state.service, message + skip);
    errno = saved_errno;
}

static bool is_wanted(int level)
{
    return level <= state.level || level <= state.stderr_level || level <= state.copy_level;
}

void log_msg(int level, const char *fmt, ...)
{
    va_list ap;

    if (!is_wanted(level))
        return;
    va_start(ap, fmt);
    log_record(level, NULL, fmt, ap);
    va_end(ap);
}

void log_fields(int level, const char *const fields[], const char *fmt, ...)
{
    va_list ap;

    if (!is_wanted(level))
        return;
    va_start(ap, fmt);
    log_record(level, fields, fmt, ap);
    va_end(ap);
}

int log_ratelimit(struct log_ratelimit *rl, double interval)
{
    const uint64_t now = monotime_usec();

    if (rl->last_usec && (double)(now - rl->last_usec) < interval * 1e6) {
        rl->dropped++;
        return 0;
    }
    rl->last_usec = now;
    rl->dropped = 0;
    return 1;
}

int log_burst(struct log_burst *b, unsigned int burst, double interval)
{
    const uint64_t now = monotime_usec();

    if (!b->since_usec || (double)(now - b->since_usec) >= interval * 1e6) {
        b->since_usec = now;
        b->logged = 0;
    }
    if (b->logged >= burst) {
        b->left_out++;
        return 0;
    }
    b->logged++;
    b->suffix[0] = '\0';
    if (b->left_out > 0)
        (void)snprintf(b->suffix, sizeof(b->suffix), " (%llu more like this were not logged)",
                       (unsigned long long)b->left_out);
    b->left_out = 0;
    return 1;
}
