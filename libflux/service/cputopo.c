/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Cores and their CPUs from sysfs. The order is that of hwloc's logical core numbers on the
 * machines we know: packages by their lowest CPU, cores within a package by theirs. CPUs that this
 * process may not run on are left out, as hwloc does. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "base/number.h"
#include "service/cputopo.h"

#define CPU_MAX 8192

struct core {
    int package_first; /* lowest CPU of the package */
    int package, id;
    struct idset *cpus;
};

struct cputopo {
    size_t ncores;
    struct core *cores;
};

static int read_number(const char *sysfs, int cpu, const char *name)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(closep) int fd = -EBADF;
    char text[32];
    ssize_t n;
    int value;

    if (asprintf(&path, "%s/cpu%d/topology/%s", sysfs, cpu, name) < 0)
        return -ENOMEM;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -ENOENT;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    /* -1: the firmware gave the package no number */
    return number_parse_int(text, -1, INT32_MAX, &value) < 0 ? -EPROTO : value < 0 ? 0 : value;
}

static int add_cpu(struct cputopo *t, int cpu, int package, int id)
{
    struct core *c = NULL, *grown;
    int package_first = cpu;

    for (size_t i = 0; i < t->ncores; i++) {
        if (t->cores[i].package != package)
            continue;
        package_first = t->cores[i].package_first;
        if (t->cores[i].id == id)
            c = &t->cores[i];
    }
    if (!c) {
        grown = reallocarray(t->cores, t->ncores + 1, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        t->cores = grown;
        c = &t->cores[t->ncores];
        *c = (struct core){ .package_first = package_first, .package = package, .id = id };
        c->cpus = idset_create(0, IDSET_FLAG_AUTOGROW);
        if (!c->cpus)
            return -ENOMEM;
        t->ncores++;
    }
    return idset_set(c->cpus, (unsigned int)cpu) < 0 ? -errno : 0;
}

static int compare(const void *pa, const void *pb)
{
    const struct core *a = pa, *b = pb;

    if (a->package_first != b->package_first)
        return a->package_first < b->package_first ? -1 : 1;
    return idset_first(a->cpus) < idset_first(b->cpus) ? -1 : 1;
}

static struct idset *usable_cpus(void)
{
    struct idset *ids = idset_create(0, IDSET_FLAG_AUTOGROW);
    const size_t size = CPU_ALLOC_SIZE(CPU_MAX);
    cpu_set_t *set = CPU_ALLOC(CPU_MAX);

    if (ids && set && sched_getaffinity(0, size, set) == 0)
        for (int cpu = 0; cpu < CPU_MAX; cpu++)
            if (CPU_ISSET_S(cpu, size, set))
                (void)idset_set(ids, (unsigned int)cpu);
    CPU_FREE(set);
    return ids;
}

int cputopo_new(const char *sysfs, const struct idset *online, struct cputopo **ret)
{
    CLEANUP(cputopo_freep) struct cputopo *t = calloc(1, sizeof(*t));
    struct idset *own = online ? NULL : usable_cpus();
    const struct idset *cpus = online ? online : own;
    int rc = t && cpus ? 0 : -ENOMEM;

    for (unsigned int cpu = rc == 0 ? idset_first(cpus) : IDSET_INVALID_ID;
         rc == 0 && cpu != IDSET_INVALID_ID; cpu = idset_next(cpus, cpu)) {
        const int package = read_number(sysfs, (int)cpu, "physical_package_id");
        const int id = read_number(sysfs, (int)cpu, "core_id");

        rc = package < 0 ? package : id < 0 ? id : add_cpu(t, (int)cpu, package, id);
    }
    idset_destroy(own);
    if (rc < 0)
        return rc;
    qsort(t->cores, t->ncores, sizeof(*t->cores), compare);
    *ret = TAKE(t);
    return 0;
}

struct cputopo *cputopo_free(struct cputopo *t)
{
    if (t) {
        for (size_t i = 0; i < t->ncores; i++)
            idset_destroy(t->cores[i].cpus);
        free(t->cores);
        free(t);
    }
    return NULL;
}

size_t cputopo_ncores(const struct cputopo *t)
{
    return t ? t->ncores : 0;
}

char **cputopo_of_cores(const struct cputopo *t, const struct idset *cores)
{
    const size_t n = idset_count(cores);
    char **list = t ? calloc(n + 1, sizeof(*list)) : NULL;
    size_t used = 0;

    if (!list)
        return NULL;
    for (unsigned int c = idset_first(cores); c != IDSET_INVALID_ID; c = idset_next(cores, c)) {
        list[used] = c < t->ncores ? idset_encode(t->cores[c].cpus, IDSET_FLAG_RANGE) : NULL;
        if (!list[used])
            break;
        used++;
    }
    if (used == n)
        return list;
    while (used > 0)
        free(list[--used]);
    free(list);
    return NULL;
}
