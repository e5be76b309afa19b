/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The fields of `flux jobs`. One table maps a field to its heading and to where its value comes
 * from: an attribute of the service as it is, or a function. */
#include "job-fields.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <flux/job.h>

#include "base/cleanup.h"
#include "base/jsonx.h"
#include "job-uri.h"

static struct value absent(void)
{
    return (struct value){ .type = VALUE_ABSENT };
}

static struct value text_value(const char *s)
{
    return (struct value){ .type = s ? VALUE_TEXT : VALUE_ABSENT, .text = s };
}

static struct value real_value(double x)
{
    return (struct value){ .type = VALUE_REAL, .real = x };
}

static struct value integer_value(int64_t i)
{
    return (struct value){ .type = VALUE_INTEGER, .integer = i };
}

/* Any JSON value as Python would print it; objects and arrays as JSON. */
static struct value from_json(struct job_fields *f, const json_t *v)
{
    if (!v || json_is_null(v))
        return absent();
    switch (json_typeof(v)) {
    case JSON_STRING:
        return text_value(json_string_value(v));
    case JSON_INTEGER:
        return integer_value(json_integer_value(v));
    case JSON_REAL:
        return real_value(json_real_value(v));
    case JSON_TRUE:
        return text_value("True");
    case JSON_FALSE:
        return text_value("False");
    default:
        break;
    }
    free(f->owned);
    f->owned = json_dumps(v, JSON_COMPACT);
    return text_value(f->owned);
}

static json_int_t integer_of(const json_t *job, const char *key)
{
    return json_integer_value(json_object_get(job, key));
}

static double real_of(const json_t *job, const char *key)
{
    return json_number_value(json_object_get(job, key));
}

static flux_job_state_t state_of(const json_t *job)
{
    return (flux_job_state_t)integer_of(job, "state");
}

const char *job_status(const json_t *job)
{
    flux_job_state_t state = state_of(job);

    if (state == FLUX_JOB_STATE_INACTIVE)
        return flux_job_resulttostr((flux_job_result_t)integer_of(job, "result"), "L");
    return state & FLUX_JOB_STATE_RUNNING ? "RUNNING" : "PENDING";
}

static struct value get_id(struct job_fields *f, const char *style)
{
    flux_jobid_t id = (flux_jobid_t)integer_of(f->job, "id");

    if (flux_job_id_encode(id, style, f->text, sizeof(f->text)) < 0)
        return absent();
    return text_value(f->text);
}

static struct value get_f58(struct job_fields *f)
{
    return get_id(f, "f58");
}

static struct value get_f58plain(struct job_fields *f)
{
    return get_id(f, "f58plain");
}

static struct value get_hex(struct job_fields *f)
{
    return get_id(f, "hex");
}

static struct value get_dothex(struct job_fields *f)
{
    return get_id(f, "dothex");
}

static struct value get_words(struct job_fields *f)
{
    return get_id(f, "words");
}

static struct value get_username(struct job_fields *f)
{
    uid_t uid = (uid_t)integer_of(f->job, "userid");
    struct passwd *pw;

    if (f->username[0] && f->username_of == uid) /* a look-up may go over the network */
        return text_value(f->username);
    if ((pw = getpwuid(uid)))
        snprintf(f->username, sizeof(f->username), "%s", pw->pw_name);
    else
        snprintf(f->username, sizeof(f->username), "%u", (unsigned)uid);
    f->username_of = uid;
    return text_value(f->username);
}

static struct value get_uri(struct job_fields *f)
{
    return text_value(job_uri(f->job));
}

static struct value get_uri_local(struct job_fields *f)
{
    const char *uri = job_uri(f->job);

    free(f->owned);
    f->owned = uri ? uri_local(uri) : NULL;
    return text_value(f->owned);
}

static struct value get_state(struct job_fields *f)
{
    return text_value(flux_job_statetostr(state_of(f->job), "L"));
}

static struct value get_state_single(struct job_fields *f)
{
    return text_value(flux_job_statetostr(state_of(f->job), "S"));
}

static struct value get_status(struct job_fields *f)
{
    return text_value(job_status(f->job));
}

static struct value get_status_abbrev(struct job_fields *f)
{
    flux_job_state_t state = state_of(f->job);

    if (state == FLUX_JOB_STATE_INACTIVE)
        return text_value(
            flux_job_resulttostr((flux_job_result_t)integer_of(f->job, "result"), "S"));
    return text_value(state & FLUX_JOB_STATE_RUNNING ? "R" : "P");
}

static struct value get_result_as(struct job_fields *f, const char *fmt)
{
    if (state_of(f->job) != FLUX_JOB_STATE_INACTIVE)
        return text_value("");
    return text_value(flux_job_resulttostr((flux_job_result_t)integer_of(f->job, "result"), fmt));
}

static struct value get_result(struct job_fields *f)
{
    return get_result_as(f, "L");
}

static struct value get_result_abbrev(struct job_fields *f)
{
    return get_result_as(f, "S");
}

static struct value get_runtime(struct job_fields *f)
{
    double start = real_of(f->job, "t_run");
    double end = real_of(f->job, "t_cleanup");

    if (start <= 0)
        return real_value(0);
    if (end <= 0)
        end = f->now;
    return real_value(end > start ? end - start : 0);
}

static struct value get_remaining(struct job_fields *f)
{
    double expiration = real_of(f->job, "expiration");

    if (expiration <= 0 || state_of(f->job) != FLUX_JOB_STATE_RUN)
        return absent();
    return real_value(expiration > f->now ? expiration - f->now : 0);
}

static struct value get_returncode(struct job_fields *f)
{
    const json_t *status = json_object_get(f->job, "waitstatus");
    int n = (int)json_integer_value(status);

    if (state_of(f->job) != FLUX_JOB_STATE_INACTIVE && !status)
        return absent();
    if (!status)
        return integer_of(f->job, "result") == FLUX_JOB_RESULT_CANCELED ? integer_value(-128)
                                                                        : absent();
    return integer_value(WIFSIGNALED(n) ? -WTERMSIG(n) : WEXITSTATUS(n));
}

static struct value get_dependencies(struct job_fields *f)
{
    const json_t *list = json_object_get(f->job, "dependencies");
    size_t size, i;
    json_t *v;
    FILE *file;

    free(f->owned);
    f->owned = NULL;
    if (!(file = open_memstream(&f->owned, &size)))
        return absent();
    json_array_foreach ((json_t *)list, i, v)
        fprintf(file, "%s%s", i ? "," : "", json_string_value(v) ? json_string_value(v) : "?");
    (void)fclose(file);
    return text_value(f->owned);
}

static const struct field {
    const char *name;
    const char *heading;
    const char *attribute; /* NULL: get */
    struct value (*get)(struct job_fields *f);
} fields[] = {
    { "id", "JOBID", "id", NULL },
    { "id.dec", "JOBID", "id", NULL },
    { "id.f58", "JOBID", NULL, get_f58 },
    { "id.f58plain", "JOBID", NULL, get_f58plain },
    { "id.hex", "JOBID", NULL, get_hex },
    { "id.dothex", "JOBID", NULL, get_dothex },
    { "id.words", "JOBID", NULL, get_words },
    { "userid", "UID", "userid", NULL },
    { "username", "USER", NULL, get_username },
    { "urgency", "URG", "urgency", NULL },
    { "priority", "PRI", "priority", NULL },
    { "dependencies", "DEPENDENCIES", NULL, get_dependencies },
    { "status", "STATUS", NULL, get_status },
    { "status_abbrev", "ST", NULL, get_status_abbrev },
    { "name", "NAME", "name", NULL },
    { "cwd", "CWD", "cwd", NULL },
    { "queue", "QUEUE", "queue", NULL },
    { "uri", "URI", NULL, get_uri },
    { "uri.local", "URI", NULL, get_uri_local },
    { "ntasks", "NTASKS", "ntasks", NULL },
    { "ncores", "NCORES", "ncores", NULL },
    { "nnodes", "NNODES", "nnodes", NULL },
    { "ranks", "RANKS", "ranks", NULL },
    { "nodelist", "NODELIST", "nodelist", NULL },
    { "state", "STATE", NULL, get_state },
    { "state_single", "S", NULL, get_state_single },
    { "result", "RESULT", NULL, get_result },
    { "result_abbrev", "RS", NULL, get_result_abbrev },
    { "success", "SUCCESS", "success", NULL },
    { "waitstatus", "WSTATUS", "waitstatus", NULL },
    { "returncode", "RC", NULL, get_returncode },
    { "exception.occurred", "EXCEPTION-OCCURRED", "exception_occurred", NULL },
    { "exception.severity", "EXCEPTION-SEVERITY", "exception_severity", NULL },
    { "exception.type", "EXCEPTION-TYPE", "exception_type", NULL },
    { "exception.note", "EXCEPTION-NOTE", "exception_note", NULL },
    { "t_submit", "T_SUBMIT", "t_submit", NULL },
    { "t_depend", "T_DEPEND", "t_depend", NULL },
    { "t_run", "T_RUN", "t_run", NULL },
    { "t_cleanup", "T_CLEANUP", "t_cleanup", NULL },
    { "t_inactive", "T_INACTIVE", "t_inactive", NULL },
    { "runtime", "RUNTIME", NULL, get_runtime },
    { "duration", "DURATION", "duration", NULL },
    { "expiration", "EXPIRATION", "expiration", NULL },
    { "t_remaining", "T_REMAINING", NULL, get_remaining },
};

static const struct field *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

/* "sched.x" and "user.x" stand for "annotations.sched.x" and "annotations.user.x". Returns the path
 * below annotations, NULL if the field is none of these. */
static const char *annotation_path(const char *field)
{
    if (strcmp(field, "annotations") == 0)
        return "";
    if (strncmp(field, "annotations.", 12) == 0)
        return field + 12;
    if (strcmp(field, "sched") == 0 || strncmp(field, "sched.", 6) == 0 ||
        strcmp(field, "user") == 0 || strncmp(field, "user.", 5) == 0)
        return field;
    return NULL;
}

struct value job_field_get(const char *name, void *arg)
{
    struct job_fields *f = arg;
    const struct field *field = find(name);
    const char *path;

    if (field)
        return field->get ? field->get(f) : from_json(f, json_object_get(f->job, field->attribute));
    if ((path = annotation_path(name)))
        return from_json(f, jsonx_at(json_object_get(f->job, "annotations"), path));
    return absent();
}

const char *job_field_heading(const char *name)
{
    static char heading[64];
    const struct field *field = find(name);
    size_t i;

    if (field)
        return field->heading;
    if (!annotation_path(name))
        return NULL;
    for (i = 0; name[i] && i < sizeof(heading) - 1; i++)
        heading[i] = (char)toupper((unsigned char)name[i]);
    heading[i] = '\0';
    return heading;
}

void job_fields_deinit(struct job_fields *f)
{
    free(f->owned);
    f->owned = NULL;
}

static void set_value(json_t *o, const char *key, struct value v)
{
    json_t *j = NULL;

    if (v.type == VALUE_TEXT)
        j = json_string(v.text);
    else if (v.type == VALUE_INTEGER)
        j = json_integer(v.integer);
    else if (v.type == VALUE_REAL)
        j = json_real(v.real);
    if (j)
        (void)json_object_set_new(o, key, j);
}

/* exception_type -> exception.type */
static void nest_exception(json_t *o)
{
    static const char *const keys[] = { "occurred", "severity", "type", "note" };
    json_t *exception = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        char flat[32];
        json_t *v;

        snprintf(flat, sizeof(flat), "exception_%s", keys[i]);
        v = json_object_get(o, flat);
        (void)json_object_set_new(exception, keys[i], v ? json_incref(v) : json_string(""));
        (void)json_object_del(o, flat);
    }
    (void)json_object_set_new(o, "exception", exception);
}

json_t *job_fields_json(struct job_fields *f)
{
    static const char *const derived[] = { "username", "state",      "status",
                                           "runtime",  "returncode", "t_remaining" };
    json_t *o = json_copy((json_t *)f->job);

    for (size_t i = 0; o && i < ARRAY_SIZE(derived); i++)
        set_value(o, derived[i], job_field_get(derived[i], f));
    if (o && json_object_get(o, "result"))
        set_value(o, "result", get_result(f));
    if (o)
        nest_exception(o);
    return o;
}
