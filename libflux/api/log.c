/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux_log(3): RFC 5424 lines, one request without response each. Nothing here waits: the HOSTNAME
 * field is the rank if the handle knows it already, else "-"; the router knows it anyway. A text of
 * several lines becomes several entries; what is not printable ASCII becomes '?'. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <flux/log.h>
#include <flux/request.h>

#include "api/attr_cache.h"
#include "base/cleanup.h"

#define AUX_NAME    "flux::log"
#define APPNAME_MAX 48
#define PROCID_MAX  128
#define TEXT_MAX    2048

struct log_names {
    char appname[APPNAME_MAX + 1];
    char procid[PROCID_MAX + 1];
};

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

/* RFC 5424 names have no spaces and no controls. */
static void set_name(char *buf, size_t size, const char *s)
{
    size_t n = 0;

    for (; *s && n + 1 < size; s++)
        buf[n++] = *s > ' ' && *s < 127 ? *s : '_';
    buf[n] = '\0';
    if (n == 0)
        (void)snprintf(buf, size, "-");
}

static struct log_names *names_get(flux_t *h)
{
    struct log_names *names = flux_aux_get(h, AUX_NAME);
    char pid[16];

    if (names)
        return names;
    names = calloc(1, sizeof(*names));
    if (!names || flux_aux_set(h, AUX_NAME, names, free) < 0) {
        free(names);
        return NULL;
    }
    set_name(names->appname, sizeof(names->appname), program_invocation_short_name);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    set_name(names->procid, sizeof(names->procid), pid);
    return names;
}

void flux_log_set_appname(flux_t *h, const char *s)
{
    struct log_names *names = h && s ? names_get(h) : NULL;

    if (names)
        set_name(names->appname, sizeof(names->appname), s);
}

void flux_log_set_procid(flux_t *h, const char *s)
{
    struct log_names *names = h && s ? names_get(h) : NULL;

    if (names)
        set_name(names->procid, sizeof(names->procid), s);
}

static void timestamp(char *buf, size_t size)
{
    struct timeval tv;
    struct tm tm;
    size_t n;

    if (gettimeofday(&tv, NULL) < 0 || !gmtime_r(&tv.tv_sec, &tm) ||
        (n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm)) == 0)
        (void)snprintf(buf, size, "-");
    else
        (void)snprintf(buf + n, size - n, ".%06ldZ", (long)tv.tv_usec);
}

static int send_line(flux_t *h, int level, const char *line, size_t len)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    const struct log_names *names = names_get(h);
    const char *rank = attr_cached(h, "rank");
    char buf[TEXT_MAX + 512];
    char ts[40];
    int n;

    if (!names)
        return -1;
    timestamp(ts, sizeof(ts));
    n = snprintf(buf, sizeof(buf), "<%d>1 %s %s %s %s - - ", LOG_USER | level, ts,
                 rank ? rank : "-", names->appname, names->procid);
    for (size_t i = 0; i < len && (size_t)n < sizeof(buf); i++) {
        char c = line[i] == '\t' ? ' ' : line[i];

        buf[n++] = c >= ' ' && c < 127 ? c : '?';
    }
    msg = flux_request_encode_raw("log.append", buf, n);
    if (!msg || flux_msg_set_noresponse(msg) < 0)
        return -1;
    return flux_send(h, msg, FLUX_O_NONBLOCK);
}

static int send_lines(flux_t *h, int level, const char *text)
{
    int rc = 0;

    do {
        size_t len = strcspn(text, "\n");

        if (len > 0 && send_line(h, level, text, len) < 0)
            rc = -1;
        text += len + (text[len] != '\0');
    } while (*text);
    return rc;
}

int flux_vlog(flux_t *h, int level, const char *fmt, va_list ap)
{
    int saved_errno = errno;
    char text[TEXT_MAX];
    int n;

    if (level < LOG_EMERG || level > LOG_DEBUG || !fmt) {
        errno = EINVAL;
        return -1;
    }
    n = vsnprintf(text, sizeof(text), fmt, ap);
    if (n < 0)
        return -1;
    if ((size_t)n >= sizeof(text))
        memcpy(text + sizeof(text) - 4, "...", 4);
    if (h) {
        if (send_lines(h, level, text) < 0)
            return -1;
    } else {
        n = strlen(text);
        (void)fprintf(stderr, "%s%s", text, n > 0 && text[n - 1] == '\n' ? "" : "\n");
    }
    errno = saved_errno;
    return 0;
}

int flux_log(flux_t *h, int level, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_vlog(h, level, fmt, ap);
    va_end(ap);
    return rc;
}

void flux_log_error(flux_t *h, const char *fmt, ...)
{
    int saved_errno = errno;
    char text[TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)flux_log(h, LOG_ERR, "%s: %s", text, strerror(saved_errno));
    errno = saved_errno;
}
