/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A blocking PMI-1 client, for a process that a program of several processes is made of: over the
 * descriptor of PMI_FD, or else by the library of whoever started us. The library is PMI_LIBRARY,
 * or libpmi2.so or libpmi.so, whichever finds the others, within a step of Slurm's srun or where
 * PMI_RANK is set. */
#ifndef PMI_CLIENT_H
#define PMI_CLIENT_H

#include <stddef.h>
#include <flux/types.h>

#include "base/cleanup.h"

#define PMI_BARRIER_SECONDS 300

struct pmi_client;

/* Finds and initialises it. -ENOENT: nobody offers PMI, we are alone; any other error has a
 * sentence. Takes over the descriptor of PMI_FD; the environment is left as it is. A server on
 * PMI_FD that does not answer within 60 s fails a call (here and below) with -ETIMEDOUT, one that
 * goes away with -ECONNRESET, one that talks nonsense with -EPROTO. */
int pmi_client_new(struct pmi_client **ret, flux_error_t *error);
struct pmi_client *pmi_client_free(struct pmi_client *c);
DEFINE_CLEANUP(struct pmi_client *, pmi_client_free)

int pmi_client_rank(const struct pmi_client *c);
int pmi_client_size(const struct pmi_client *c);
const char *pmi_client_name(const struct pmi_client *c); /* of the program; lent */
const char *pmi_client_how(const struct pmi_client *c);  /* "PMI_FD", or path of a library; lent */
/* The longest value, with its NUL. */
size_t pmi_client_value_max(const struct pmi_client *c);

/* value: visible ASCII characters. A key can be put once. -EMSGSIZE: too long; -EINVAL: a character
 * that PMI cannot carry; -EREMOTEIO: refused, the sentence says why. */
int pmi_client_put(struct pmi_client *c, const char *key, const char *value, flux_error_t *error);
/* All put before, by all, can be read after. A server on PMI_FD may take PMI_BARRIER_SECONDS: batch
 * systems start the processes of a large job over minutes. */
int pmi_client_barrier(struct pmi_client *c, flux_error_t *error);
/* -ENOENT: no such key, or the library says no more; -EMSGSIZE: buf is too small. */
int pmi_client_get(struct pmi_client *c, const char *key, char *buf, size_t size,
                   flux_error_t *error);
int pmi_client_finalize(struct pmi_client *c, flux_error_t *error);

#endif
