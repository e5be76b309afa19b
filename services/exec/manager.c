/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires the parts of flux-exec together, reads the [exec] table, and cleans up after jobs that
 * nobody claims. Where a shell comes from: exec.job-shell, $FLUX_JOB_SHELL, or the installed one.
 */
#include <string.h>

#include "base/errorx.h"
#include "base/fsd.h"
#include "base/monotime.h"
#include "config.h"
#include "forks.h"
#include "manager.h"
#include "service/log.h"

#define KILL_TIMEOUT_DEFAULT 5.
#define RECONCILE_DEFAULT    60.
#define NODE_TIMEOUT_DEFAULT 20.
#define SHELL_DEFAULT        FLUX_LIBEXECDIR "/flux-shell"

/* A duration of at most a day; *ret is its default. */
static int read_duration(const json_t *table, const char *key, double *ret, flux_error_t *error)
{
    const json_t *v = json_object_get(table, key);
    double t = *ret;

    if (json_is_number(v))
        t = json_number_value(v);
    else if (v && (!json_is_string(v) || fsd_parse(json_string_value(v), &t) < 0))
        return errorx_fail(error, EINVAL, "exec.%s: must be a duration such as \"5s\"", key);
    if (!(t >= 0 && t <= 86400))
        return errorx_fail(error, EINVAL, "exec.%s: must be between 0 and one day", key);
    *ret = t;
    return 0;
}

static int read_shell(const json_t *v, char **ret, flux_error_t *error)
{
    const char *path = getenv("FLUX_JOB_SHELL");

    if (v && (!json_is_string(v) || json_string_value(v)[0] != '/'))
        return errorx_fail(error, EINVAL, "exec.job-shell: must be an absolute path");
    if (v)
        path = json_string_value(v);
    *ret = strdup(path && path[0] == '/' ? path : SHELL_DEFAULT);
    return *ret ? 0 : errorx_fail(error, ENOMEM, "out of memory");
}

int manager_on_config(const json_t *config, void *arg, flux_error_t *error)
{
    struct manager *m = arg;
    const json_t *table = json_object_get(config, "exec");
    char *shell;
    double kill_timeout = KILL_TIMEOUT_DEFAULT, reconcile = RECONCILE_DEFAULT;
    double node_timeout = NODE_TIMEOUT_DEFAULT;
    int rc;

    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "exec: must be a table");
    rc = read_duration(table, "kill-timeout", &kill_timeout, error);
    if (rc == 0)
        rc = read_duration(table, "reconcile-delay", &reconcile, error);
    if (rc == 0)
        rc = read_duration(table, "node-timeout", &node_timeout, error);
    if (rc == 0)
        rc = read_shell(json_object_get(table, "job-shell"), &shell, error);
    if (rc < 0)
        return rc;
    free(m->config.shell);
    m->config.shell = shell;
    m->config.own_shell = !json_object_get(table, "job-shell");
    m->config.kill_timeout = kill_timeout;
    m->config.reconcile = reconcile;
    m->config.node_timeout = node_timeout;
    return 0;
}

void manager_on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;
    const struct forks *forks = launcher_forks(m->launcher);

    (void)json_object_set_new(stats, "jobs", json_integer(HASH_COUNT(m->jobs.table)));
    (void)json_object_set_new(stats, "started", json_integer((json_int_t)m->jobs.nstarted));
    (void)json_object_set_new(stats, "finished", json_integer((json_int_t)m->jobs.nfinished));
    (void)json_object_set_new(stats, "failed", json_integer((json_int_t)m->jobs.nfailed));
    (void)json_object_set_new(stats, "processes",
                              json_integer((json_int_t)subprocesses_count(m->procs)));
    if (forks) {
        (void)json_object_set_new(stats, "forked", json_integer((json_int_t)forks_count(forks)));
        (void)json_object_set_new(stats, "fork-server", json_integer(forks_pid(forks)));
    }
    (void)json_object_set_new(stats, "launch", json_string(launcher_name(m->launcher)));
}

static void show_status(void *arg)
{
    struct manager *m = arg;

    service_status(m->svc, "%u jobs on this node, %ju started so far", HASH_COUNT(m->jobs.table),
                   (uintmax_t)m->jobs.nstarted);
}

static void on_fatal(void *arg, const char *why)
{
    struct manager *m = arg;

    log_warning("the state of jobs is not known (%s): starting over, running jobs go on", why);
    service_exit(m->svc, SERVICE_EXIT_ROUTER);
}

/* Shells that belong to no job of the job manager, a while after it named all of them. */
static void on_shell_found(flux_jobid_t id, void *arg)
{
    struct manager *m = arg;

    if (id == 0 || jobs_find(&m->jobs, id))
        return;
    log_warning("job %" PRIu64 " is not known to the job manager, ending what runs of it", id);
    (void)launcher_purge(m->launcher, id);
}

static void on_reconcile(void *arg)
{
    struct manager *m = arg;
    const int rc = launcher_list(m->launcher, on_shell_found, m);

    m->jobs.complete = true;
    if (rc < 0)
        log_err("cannot list the shells of this node: %s", strerror(-rc));
}

static int new_launcher(struct manager *m)
{
    flux_error_t error = { .text = "" };
    const struct launcher_config config = {
        .reactor = service_reactor(m->svc),
        .rundir = service_rundir(m->svc),
        .backend = getenv("FLUX_EXEC_LAUNCH"),
        .events = job_launch_events,
    };
    const int rc = launcher_new(&config, &m->launcher, &error);

    if (rc < 0)
        log_err("cannot start jobs: %s", error.text[0] ? error.text : strerror(-rc));
    return rc;
}

/* Processes of the flux-exec before end: whoever had them started was told that they are lost. */
static int new_processes(struct manager *m)
{
    CLEANUP(freep) char *dir = NULL;
    int rc;

    if (asprintf(&dir, "%s/procs", service_rundir(m->svc)) < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    rc = m->proc_records = leftovers_open(dir);
    if (rc >= 0)
        rc = leftovers_end(m->proc_records);
    if (rc < 0)
        log_err("cannot keep records of processes in %s: %s", dir, strerror(-rc));
    return rc < 0 ? rc : subprocesses_new(service_reactor(m->svc), m->proc_records, &m->procs);
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    flux_error_t error = { .text = "" };
    flux_reactor_t *r = service_reactor(svc);
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    m->proc_records = -EBADF;
    m->leader = service_rank(svc) == 0;
    m->begun_usec = monotime_usec();
    rc = manager_on_config(service_config(svc), m, &error);
    if (rc < 0) {
        service_misconfigured(svc, error.text, NULL, NULL);
        return rc;
    }
    if (cputopo_new("/sys/devices/system/cpu", NULL, &m->topo) < 0)
        log_warning("the cores of this node cannot be read from /sys: tasks are not bound");
    if ((rc = new_launcher(m)) < 0 || (rc = answers_new(r, &m->answers)) < 0 ||
        (rc = alarms_new(r, &m->alarms)) < 0 ||
        (rc = commitq_new(service_flux(svc), r, on_fatal, m, &m->commits)) < 0 ||
        (rc = new_processes(m)) < 0)
        return rc;
    m->jobs = (struct jobs){
        .h = service_flux(svc),
        .reactor = r,
        .rank = service_rank(svc),
        .launcher = m->launcher,
        .commits = m->commits,
        .answers = m->answers,
        .alarms = m->alarms,
        .config = &m->config,
        .topo = m->topo,
        .on_fatal = on_fatal,
        .fatal_arg = m,
        .on_count = show_status,
    };
    show_status(m);
    if (m->leader &&
        (rc = hello_new(service_flux(svc), m->config.reconcile, on_reconcile, m, &m->hello)) < 0)
        return rc;
    if (!m->leader && (rc = orphans_new(&m->jobs, ORPHANS_RETRY_SECONDS, &m->jobs.orphans)) < 0)
        return rc;
    orphans_look(m->jobs.orphans); /* of the time before this process */
    *ret = TAKE(m);
    return 0;
}

struct manager *manager_free(struct manager *m)
{
    if (m) {
        hello_free(m->hello);
        orphans_free(m->jobs.orphans);
        jobs_free_all(&m->jobs);
        rexec_end(m);
        subprocesses_free(m->procs);
        closep(&m->proc_records);
        commitq_free(m->commits);
        alarms_free(m->alarms);
        answers_free(m->answers);
        launcher_free(m->launcher);
        cputopo_free(m->topo);
        free(m->config.shell);
        free(m);
    }
    return NULL;
}
