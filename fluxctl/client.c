/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What commands share. Exactly one message is printed per failure, here or in the command, and it
 * says what failed, on what, why, and where that is known what to do. */
#include "client.h"

#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/fsd.h"
#include "base/jsonx.h"
#include "base/number.h"
#include "plain-text.h"

#define ROUTER_SECONDS 5.

static const char *command_name = "";

void client_set_command(const char *name)
{
    command_name = name;
}

/* In one write: others may be writing to the same terminal. why may be NULL. */
static void print_message(FILE *f, const char *fmt, va_list ap, const char *why)
{
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) char *line = NULL;

    (void)fflush(stdout);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    if (asprintf(&line, "%s%s%s", text ? text : "out of memory", why ? ": " : "", why ? why : "") <
        0)
        line = NULL;
    fprintf(f, "flux%s%.*s: %s\n", command_name[0] ? "-" : "", (int)strcspn(command_name, " "),
            command_name, line ? plain_text(line, "\n\t") : "out of memory");
}

/* What went wrong before this flush is not known any more. */
int output_check(void)
{
    bool failed = ferror(stdout);
    bool fails = fflush(stdout) != 0;
    const char *why = fails ? strerror(errno) : "";

    if (!failed && !fails)
        return EXIT_SUCCESS;
    return complain("cannot write to standard output%s%s", fails ? ": " : "", why);
}

void output_flush(void)
{
    if (output_check() != EXIT_SUCCESS)
        exit(EXIT_FAILURE);
}

void output_fail(void)
{
    (void)complain("cannot write to standard output: %s", strerror(errno));
    exit(EXIT_FAILURE);
}

int complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_message(stderr, fmt, ap, NULL);
    va_end(ap);
    return EXIT_FAILURE;
}

int complain_to(FILE *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_message(f, fmt, ap, NULL);
    va_end(ap);
    return EXIT_FAILURE;
}

const char *future_reason(flux_future_t *f)
{
    int saved_errno = errno;
    const char *s = f ? flux_future_error_string(f) : NULL;

    return s && s[0] ? s : strerror(saved_errno);
}

int complain_future(flux_future_t *f, const char *fmt, ...)
{
    const char *reason = future_reason(f);
    va_list ap;

    va_start(ap, fmt);
    print_message(stderr, fmt, ap, reason);
    va_end(ap);
    return EXIT_FAILURE;
}

/* Whoever is refused can do nothing here: one sentence is enough, whatever was tried. */
static void on_fatal(const char *text, void *arg)
{
    if (errno == ECONNRESET)
        return;
    fprintf(stderr, "%s\n", text);
    exit(EXIT_FAILURE);
}

/* The router's socket is there before the router is, and takes who connects. One that cannot start
 * keeps him waiting, as it should; but he is told. */
static void await_router(flux_t *h, const char *uri)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (strncmp(uri, "local://", 8) != 0)
        return;
    f = flux_rpc(h, "broker.ping", "{}", FLUX_NODEID_ANY, 0);
    if (f && flux_future_wait_for(f, ROUTER_SECONDS) < 0 && errno == ETIMEDOUT)
        complain("the router at %s does not answer yet, waiting (its log says why: systemctl "
                 "status flux-broker)",
                 uri + 8);
}

flux_t *client_open(void)
{
    const char *uri = getenv("FLUX_URI");
    flux_error_t error = { "" };
    flux_t *h = flux_open_ex(NULL, FLUX_O_RECONNECT, &error);

    if (!uri)
        uri = "local:///run/flux/local";
    if (!h && (errno == ENOENT || errno == ECONNREFUSED))
        complain("cannot reach the Flux instance at %s: %s; start one with `flux start` or "
                 "`systemctl start flux.target`",
                 uri, strerror(errno));
    else if (!h)
        complain("cannot reach the Flux instance at %s: %s", uri,
                 error.text[0] ? error.text : strerror(errno));
    else
        flux_fatal_set(h, on_fatal, NULL);
    if (h)
        await_router(h, uri);
    return h;
}

json_t *client_call_rank(flux_t *h, const char *topic, uint32_t rank, json_t *payload,
                         const char *what)
{
    CLEANUP(json_decrefp) json_t *held = payload;
    CLEANUP(freep) char *text = payload ? jsonx_encode(payload, NULL) : NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_rpc(h, topic, text, rank, 0);
    const char *answer;
    flux_error_t error;
    json_t *o;

    (void)held; /* released at the end of the scope */
    if (!f || flux_rpc_get(f, &answer) < 0) {
        complain_future(f, "cannot %s", what);
        return NULL;
    }
    if (!answer)
        return json_object();
    if (!(o = jsonx_decode_object(answer, strlen(answer), &error)))
        complain("cannot %s: the answer is malformed: %s", what, error.text);
    return o;
}

json_t *client_call(flux_t *h, const char *topic, json_t *payload, const char *what)
{
    return client_call_rank(h, topic, FLUX_NODEID_ANY, payload, what);
}

int parse_jobid(const char *s, flux_jobid_t *ret)
{
    if (flux_job_id_parse(s, ret) < 0) {
        complain("'%s' is not a job id", s);
        return -1;
    }
    return 0;
}

int parse_count(const char *s, const char *what, int min, int *ret)
{
    int64_t n;

    if (number_parse_int(s, min, INT32_MAX, ret) < 0) {
        if (number_parse_i64(s, min, INT64_MAX, &n) == 0)
            complain("%s is too large: '%s'; it can be %d at most", what, s, INT32_MAX);
        else
            complain("%s must be a whole number of at least %d, not '%s'", what, min, s);
        return -1;
    }
    return 0;
}

int parse_duration(const char *s, const char *what, double *ret)
{
    if (fsd_parse(s, ret) < 0) {
        complain("%s must be a duration such as 30s, 1.5m or 2h, not '%s'", what, s);
        return -1;
    }
    return 0;
}

int parse_urgency(const char *s, const char *what, int *ret)
{
    if (strcasecmp(s, "hold") == 0)
        *ret = FLUX_JOB_URGENCY_HOLD;
    else if (strcasecmp(s, "default") == 0)
        *ret = FLUX_JOB_URGENCY_DEFAULT;
    else if (strcasecmp(s, "expedite") == 0)
        *ret = FLUX_JOB_URGENCY_EXPEDITE;
    else if (number_parse_int(s, FLUX_JOB_URGENCY_MIN, FLUX_JOB_URGENCY_MAX, ret) < 0) {
        complain("%s must be a number from 0 to 31, hold, default or expedite, not '%s'", what, s);
        return -1;
    }
    return 0;
}

int parse_signal(const char *s, int *ret)
{
    const char *name = strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s;

    if (number_parse_int(s, 1, SIGRTMAX, ret) == 0)
        return 0;
    for (int n = 1; n < NSIG; n++) {
        const char *abbrev = sigabbrev_np(n);

        if (abbrev && strcasecmp(abbrev, name) == 0) {
            *ret = n;
            return 0;
        }
    }
    complain("'%s' is not a signal", s);
    return -1;
}

json_t *parse_value(const char *s)
{
    json_t *v = json_loads(s, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    return v ? v : json_string(s);
}

int parse_user(const char *s, uint32_t *ret)
{
    struct passwd *pw;

    if (strcmp(s, "all") == 0) {
        *ret = FLUX_USERID_UNKNOWN;
        return 0;
    }
    if (number_parse_u32(s, ret) == 0)
        return 0;
    if (!(pw = getpwnam(s))) {
        complain("there is no user '%s'", s);
        return -1;
    }
    *ret = pw->pw_uid;
    return 0;
}

int refuse_both(const struct cmdline *c, const char *a, const char *b)
{
    if (!cmdline_has(c, a) || !cmdline_has(c, b))
        return 0;
    complain("--%s and --%s exclude each other", a, b);
    return -1;
}

const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

const char *jobid_text(flux_jobid_t id)
{
    static char buf[64];

    if (flux_job_id_encode(id, "f58", buf, sizeof(buf)) < 0)
        snprintf(buf, sizeof(buf), "%" PRIu64, id);
    return buf;
}
