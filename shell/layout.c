/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The tasks of each node. -o taskmap names where they go:
 *
 *     block             all of a node before those of the next one (default)
 *     cyclic[:STRIDE]   STRIDE (1) on each node in turn
 *     manual:MAP        in any notation that taskmap_parse() reads
 *     hostfile:PATH     a line for each task names its host, or several hosts ("n[0-3]"); from the
 *                       start again when there are more tasks
 *
 * All shells of a job come to the same result, since all have the same jobspec and R. */
#include <string.h>

#include <flux/hostlist.h>

#include "base/errorx.h"
#include "base/number.h"
#include "layout.h"

#define HOSTFILE_MAX (1 << 20) /* bytes */

/* Give one task to each node that has room (all of them if `over`), as often as fits into left.
 * Returns what is left. */
static int deal_round(const int *slots, size_t nnodes, int left, int *counts, bool over)
{
    for (size_t i = 0; i < nnodes && left > 0; i++) {
        if (!over && counts[i] >= slots[i])
            continue;
        counts[i]++;
        left--;
    }
    return left;
}

int layout_deal(const int *slots, size_t nnodes, int ntasks, int *counts)
{
    int left = ntasks;

    if (nnodes == 0 || ntasks <= 0)
        return -EINVAL;
    for (size_t i = 0; i < nnodes; i++)
        counts[i] = 0;
    for (int before = left + 1; left > 0 && left < before;) {
        before = left;
        left = deal_round(slots, nnodes, left, counts, false);
    }
    while (left > 0)
        left = deal_round(slots, nnodes, left, counts, true);
    return 0;
}

/* --- schemes */

static int cyclic(const char *arg, const int *counts, size_t nnodes, struct taskmap **ret,
                  flux_error_t *error)
{
    int stride = 1;

    if (arg && number_parse_int(arg, 1, TASKMAP_TASKS_MAX, &stride) < 0)
        return errorx_fail(error, EINVAL, "-o taskmap=cyclic:%s: must be a number from 1 on", arg);
    return taskmap_cyclic(counts, nnodes, stride, ret);
}

static int node_of_host(const struct rset *nodes, const char *host)
{
    for (size_t i = 0; i < rset_nnodes(nodes); i++) {
        const char *name = rset_nth(nodes, i)->hostname;

        if (name && strcmp(name, host) == 0)
            return (int)i;
    }
    return -ENOENT;
}

/* The hosts of all lines in order. NULL with a sentence. */
static struct hostlist *read_hosts(const char *path, flux_error_t *error)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    CLEANUP(freep) char *line = NULL;
    struct hostlist *hl = hostlist_create();
    size_t capacity = 0, total = 0;
    ssize_t n = -1;

    while (f && hl && total < HOSTFILE_MAX && (n = getline(&line, &capacity, f)) > 0) {
        total += (size_t)n;
        line[strcspn(line, " \t\r\n#")] = '\0';
        if (line[0] && hostlist_append(hl, line) < 0)
            break;
    }
    if (f && hl && n < 0 && hostlist_count(hl) > 0)
        return hl;
    if (f && hl)
        errorx_set(error, "-o taskmap=hostfile:%s: must have a host name in each line", path);
    else
        errorx_set(error, "-o taskmap=hostfile:%s: %s", path, strerror(errno));
    hostlist_destroy(hl);
    return NULL;
}

static int hostfile(const char *path, int ntasks, const struct rset *nodes, struct taskmap **ret,
                    flux_error_t *error)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    struct hostlist *hl = read_hosts(path, error);
    int rc = hl ? taskmap_new(&map) : -EINVAL;

    for (int task = 0; task < ntasks && rc == 0; task++) {
        const char *host = hostlist_nth(hl, task % hostlist_count(hl));
        const int node = node_of_host(nodes, host);

        rc = node < 0
                 ? errorx_fail(error, EINVAL,
                               "-o taskmap=hostfile:%s: %s is not a host of this job", path, host)
                 : taskmap_append(map, node, 1);
    }
    hostlist_destroy(hl);
    if (rc < 0)
        return rc;
    *ret = TAKE(map);
    return 0;
}

static int manual(const char *text, int ntasks, size_t nnodes, struct taskmap **ret,
                  flux_error_t *error)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    int rc = taskmap_parse(text, &map, error);

    if (rc < 0)
        return rc;
    if (taskmap_ntasks(map) != ntasks || (size_t)taskmap_nnodes(map) > nnodes)
        return errorx_fail(error, EINVAL,
                           "-o taskmap=manual: is for %d tasks on %d nodes, the job has %d on %zu",
                           taskmap_ntasks(map), taskmap_nnodes(map), ntasks, nnodes);
    *ret = TAKE(map);
    return 0;
}

static int make(const char *scheme, const char *arg, const int *counts, const struct rset *nodes,
                struct taskmap **ret, flux_error_t *error)
{
    const size_t nnodes = rset_nnodes(nodes);
    int ntasks = 0;

    for (size_t i = 0; i < nnodes; i++)
        ntasks += counts[i];
    if (strcmp(scheme, "block") == 0 && !arg)
        return taskmap_block(counts, nnodes, ret);
    if (strcmp(scheme, "cyclic") == 0)
        return cyclic(arg, counts, nnodes, ret, error);
    if (strcmp(scheme, "manual") == 0 && arg)
        return manual(arg, ntasks, nnodes, ret, error);
    if (strcmp(scheme, "hostfile") == 0 && arg)
        return hostfile(arg, ntasks, nodes, ret, error);
    return errorx_fail(error, EINVAL,
                       "-o taskmap=%s: must be block, cyclic[:N], manual:MAP or hostfile:PATH",
                       scheme);
}

int layout_map(const char *scheme, const int *counts, const struct rset *nodes,
               struct taskmap **ret, flux_error_t *error)
{
    const char *colon = scheme ? strchr(scheme, ':') : NULL;
    CLEANUP(freep)
    char *name = scheme ? strndup(scheme, colon ? (size_t)(colon - scheme) : strlen(scheme))
                        : strdup("block");
    int rc = name ? 0 : -ENOMEM;

    errno = 0;
    if (error)
        error->text[0] = '\0';
    if (rc == 0)
        rc = make(name, colon ? colon + 1 : NULL, counts, nodes, ret, error);
    if (rc < 0 && error && !error->text[0])
        return errorx_fail(error, -rc, "the job's tasks cannot be laid out: %s", strerror(-rc));
    return rc;
}
