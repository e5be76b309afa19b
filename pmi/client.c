/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Chooses the way to speak PMI and checks what is put. A process within a batch script of Slurm but
 * outside a step has SLURM_PROCID too, and is alone. */
#include "pmi/client.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "pmi/client-backend.h"

static bool in_slurm_step(void)
{
    return getenv("SLURM_PROCID") && (getenv("SLURM_STEP_ID") || getenv("SLURM_STEPID"));
}

/* How many processes whoever started us says that there are; 0: it does not say. */
static int count_processes(void)
{
    const char *names[] = { "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        int n;

        if (value && number_parse_int(value, 1, INT_MAX, &n) == 0)
            return n;
    }
    return 0;
}

/* A library that finds no server may say that it is alone, as Slurm's PMI-2 does without
 * srun --mpi=pmi2. -ENOENT: no such library; other errors: it is of no use. */
static int try_library(struct pmi_client *c, const char *path, flux_error_t *error)
{
    const int expected = count_processes();
    int rc;

    (void)snprintf(c->how, sizeof(c->how), "%s", path);
    rc = pmi_client_library_init(c, path, error);
    if (rc < 0 || c->size > 1 || expected <= 1)
        return rc;
    c->backend->free(c->impl);
    c->impl = NULL;
    return errorx_fail(error, EPROTO, "it says that we are alone, not %d", expected);
}

/* The one to be named is the one that was there. */
static int try_libraries(struct pmi_client *c, flux_error_t *error)
{
    static const char *const libraries[] = { "libpmi2.so.0", "libpmi2.so", "libpmi.so.0",
                                             "libpmi.so" };
    int found = -ENOENT;

    for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
        flux_error_t e = { "" };
        const int rc = try_library(c, libraries[i], &e);

        if (rc == 0)
            return 0;
        if (rc != -ENOENT || found == -ENOENT)
            errorx_set(error, "%s%s%s", rc == -ENOENT ? "" : libraries[i],
                       rc == -ENOENT ? "" : ": ", e.text);
        if (rc != -ENOENT)
            found = rc;
    }
    return found;
}

static int init_library(struct pmi_client *c, flux_error_t *error)
{
    const char *path = getenv("PMI_LIBRARY");
    flux_error_t why = { "" };
    int rc;

    if (path && *path) {
        rc = try_library(c, path, error);
        return rc == -ENOENT ? -ELIBACC : rc;
    }
    if ((!in_slurm_step() && !getenv("PMI_RANK")) || count_processes() == 1)
        return errorx_fail(error, ENOENT, "nobody offers PMI");
    rc = try_libraries(c, &why);
    if (rc == 0 || (rc == -ENOENT && count_processes() == 0))
        return rc;
    return errorx_fail(error, ELIBACC,
                       "one of several, but no PMI finds the others (try srun --mpi=pmi2, or set "
                       "PMI_LIBRARY): %.80s",
                       why.text);
}

int pmi_client_new(struct pmi_client **ret, flux_error_t *error)
{
    CLEANUP(pmi_client_freep) struct pmi_client *c = calloc(1, sizeof(*c));
    const char *fd = getenv("PMI_FD");
    flux_error_t local;
    int rc;

    if (!error)
        error = &local;
    if (!c)
        return errorx_fail(error, ENOMEM, "out of memory");
    if (fd) {
        strcpy(c->how, "PMI_FD");
        rc = pmi_client_wire_init(c, fd, error);
    } else {
        rc = init_library(c, error);
    }
    if (rc < 0)
        return rc;
    if (c->size < 1 || c->rank < 0 || c->rank >= c->size)
        return errorx_fail(error, EPROTO, "PMI says that we are rank %d of %d", c->rank, c->size);
    *ret = TAKE(c);
    return 0;
}

struct pmi_client *pmi_client_free(struct pmi_client *c)
{
    if (c) {
        if (c->impl)
            c->backend->free(c->impl);
        free(c);
    }
    return NULL;
}

int pmi_client_rank(const struct pmi_client *c)
{
    return c->rank;
}

int pmi_client_size(const struct pmi_client *c)
{
    return c->size;
}

const char *pmi_client_name(const struct pmi_client *c)
{
    return c->name;
}

const char *pmi_client_how(const struct pmi_client *c)
{
    return c->how;
}

size_t pmi_client_value_max(const struct pmi_client *c)
{
    return c->value_max;
}

static int check(const char *what, const char *s, size_t max, bool valid, flux_error_t *error)
{
    if (strlen(s) >= max)
        return errorx_fail(error, EMSGSIZE, "the %s is longer than PMI allows here (%zu)", what,
                           max - 1);
    if (!valid)
        return errorx_fail(error, EINVAL, "a %s with characters that PMI cannot carry", what);
    return 0;
}

int pmi_client_put(struct pmi_client *c, const char *key, const char *value, flux_error_t *error)
{
    int rc = check("key", key, c->key_max, pmi_word_valid(key, c->key_max), error);

    if (rc < 0 ||
        (rc = check("value", value, c->value_max, pmi_value_valid(value, c->value_max), error)) < 0)
        return rc;
    return c->backend->put(c->impl, key, value, error);
}

int pmi_client_barrier(struct pmi_client *c, flux_error_t *error)
{
    return c->backend->barrier(c->impl, error);
}

int pmi_client_get(struct pmi_client *c, const char *key, char *buf, size_t size,
                   flux_error_t *error)
{
    int rc = check("key", key, c->key_max, pmi_word_valid(key, c->key_max), error);

    return rc < 0 ? rc : c->backend->get(c->impl, key, buf, size, error);
}

int pmi_client_finalize(struct pmi_client *c, flux_error_t *error)
{
    return c->backend->finalize(c->impl, error);
}
