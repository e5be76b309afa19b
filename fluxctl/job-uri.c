/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An instance that is a job says where it is in a memo of that job (supervise/announce.c). */
#include "job-uri.h"

#include <string.h>

#include "client.h"
#include "slurm-uri.h"
#include "watch.h"

#define SSH "ssh://"

const char *job_uri(const json_t *job)
{
    return json_string_value(
        json_object_get(json_object_get(json_object_get(job, "annotations"), "user"), "uri"));
}

char *uri_local(const char *uri)
{
    const char *path = strncmp(uri, SSH, strlen(SSH)) == 0 ? strchr(uri + strlen(SSH), '/') : NULL;
    char *text;

    if (!path)
        return strdup(uri);
    return asprintf(&text, "local://%s", path) < 0 ? NULL : text;
}

char *uri_from_here(const char *uri)
{
    const char *host = uri + strlen(SSH);
    char here[256] = "";

    if (strncmp(uri, SSH, strlen(SSH)) != 0 || gethostname(here, sizeof(here) - 1) < 0 ||
        strncmp(host, here, strlen(here)) != 0 || host[strlen(here)] != '/')
        return strdup(uri);
    return uri_local(uri);
}

/* --- one job */

static json_t *ask(flux_t *h, flux_jobid_t id)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    char what[64];

    snprintf(what, sizeof(what), "look at job %s", jobid_text(id));
    answer = client_call(
        h, "job-list.list-id",
        json_pack("{s:I s:[ss]}", "id", (json_int_t)id, "attrs", "annotations", "state"), what);
    return json_incref(json_object_get(answer, "job"));
}

struct waiter {
    flux_reactor_t *reactor;
    flux_jobid_t id;
    char *uri;
};

static void on_event(const char *name, double timestamp, const json_t *context, void *arg)
{
    struct waiter *w = arg;
    const char *uri = json_string_value(json_object_get(context, "uri"));

    if (strcmp(name, "memo") != 0 || !uri || w->uri)
        return;
    w->uri = strdup(uri);
    flux_reactor_stop(w->reactor);
}

static void on_end(int errnum, const char *reason, void *arg)
{
    struct waiter *w = arg;

    complain("job %s has ended before it became an instance", jobid_text(w->id));
    flux_reactor_stop(w->reactor);
}

static char *wait_for(flux_t *h, flux_jobid_t id)
{
    static const struct watch_ops ops = { .on_event = on_event, .on_end = on_end };
    struct waiter w = { .reactor = flux_get_reactor(h), .id = id };
    struct watch *watch = watch_new(h, id, "eventlog", &ops, &w);

    if (!watch || flux_reactor_run(w.reactor, 0) < 0)
        complain("cannot wait for job %s: %s", jobid_text(id), strerror(errno));
    watch_free(watch);
    return w.uri;
}

char *job_uri_find(flux_t *h, flux_jobid_t id, bool wait)
{
    CLEANUP(json_decrefp) json_t *job = ask(h, id);
    const char *uri = job_uri(job);
    const int state = (int)json_integer_value(json_object_get(job, "state"));

    if (!job)
        return NULL;
    if (state == FLUX_JOB_STATE_INACTIVE || state == FLUX_JOB_STATE_CLEANUP) {
        complain("job %s has ended", jobid_text(id));
        return NULL;
    }
    if (uri)
        return strdup(uri);
    if (wait)
        return wait_for(h, id);
    complain("job %s is no instance%s", jobid_text(id),
             state == FLUX_JOB_STATE_RUN ? ", or not yet" : " yet, since it does not run");
    return NULL;
}

/* --- paths */

static flux_t *open_uri(const char *uri)
{
    CLEANUP(freep) char *here = uri_from_here(uri);
    flux_t *h = here ? flux_open(here, 0) : NULL;

    if (!h && strncmp(here, SSH, strlen(SSH)) == 0)
        complain("%s is on another host; go there", here);
    else if (!h)
        complain("cannot open %s: %s", here, strerror(errno));
    return h;
}

/* One step from h: its URI, or NULL after complaining; *ret_end: there is none further up. */
static char *step(flux_t *h, const char *name, bool wait, bool *ret_end)
{
    const char *uri;
    flux_jobid_t id;

    *ret_end = false;
    if (strcmp(name, "..") == 0) {
        if ((uri = flux_attr_get(h, "parent-uri")))
            return strdup(uri);
        *ret_end = true;
        return NULL;
    }
    return parse_jobid(name, &id) < 0 ? NULL : job_uri_find(h, id, wait);
}

/* From the instance of FLUX_URI up to the outermost. */
static char *find_root(void)
{
    flux_t *h = client_open();
    char *uri = h ? strdup(flux_attr_get(h, "local-uri")) : NULL;
    bool end = false;

    while (uri && !end) {
        char *up = step(h, "..", false, &end);

        if (!up)
            break;
        free(uri);
        uri = up;
        flux_close(h);
        h = open_uri(uri);
        if (!h)
            return NULL;
    }
    flux_close(h);
    return uri;
}

static char *follow(flux_t *h, char *path, bool wait)
{
    char *name, *uri = NULL;
    bool end;

    while ((name = strsep(&path, "/"))) {
        if (!name[0] || strcmp(name, ".") == 0)
            continue;
        if (uri) {
            flux_close(h);
            h = open_uri(uri);
        }
        free(uri);
        uri = h ? step(h, name, wait, &end) : NULL;
        if (uri)
            continue;
        if (h && end)
            complain("'..' leads out of the outermost instance");
        flux_close(h);
        return NULL;
    }
    if (!uri && h)
        uri = strdup(flux_attr_get(h, "local-uri"));
    flux_close(h);
    return uri;
}

char *job_uri_resolve(const char *path, bool wait)
{
    CLEANUP(freep) char *copy = strdup(path);
    CLEANUP(freep) char *root = NULL;
    flux_t *h;

    if (!copy)
        return NULL;
    if (path[0] == '/' && !(root = find_root()))
        return NULL;
    h = root ? open_uri(root) : client_open();
    return h ? follow(h, copy, wait) : NULL;
}

char *job_uri_parse(const char *target, bool wait)
{
    const char *colon = strchr(target, ':');

    if (colon && strncmp(colon, "://", 3) == 0)
        return strdup(target);
    if (strncmp(target, "jobid:", 6) == 0)
        return job_uri_resolve(target + 6, wait);
    if (!colon)
        return job_uri_resolve(target, wait);
    if (slurm_target(target))
        return slurm_uri_find(target);
    complain("there is no scheme '%.*s'; there are jobid and slurm", (int)(colon - target), target);
    return NULL;
}
