/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How a router learns who it is: rank, size, where it listens, where its parent is and which keys
 * are good. From the configuration ([bootstrap], boot_config.c), from PMI (boot_pmi.c), from what
 * the process before had found out (boot_saved.c), or it is alone. */
#ifndef BROKER_BOOT_H
#define BROKER_BOOT_H

#include <jansson.h>
#include <flux/types.h>
#include "base/cleanup.h"
#include "broker/overlay.h"
#include "broker/topology.h"

#define BOOT_KEY_SIZE  41 /* Z85, with its NUL */
#define BOOT_HOST_SIZE 65
#define BOOT_URI_SIZE  256

struct pmi_client;

struct boot_options {
    const json_t *config;
    const char *rundir;
    const char *topo;   /* tbon.topo, or NULL */
    const char *fanout; /* tbon.fanout, or NULL */
    bool prefer_tcp;    /* tbon.prefertcp */
};

struct boot_neighbour {
    uint32_t rank;
    char host[BOOT_HOST_SIZE];
    char uri[BOOT_URI_SIZE];
    char key[BOOT_KEY_SIZE]; /* public; "": no CURVE */
};

struct boot {
    const char *method; /* "config", "pmi", "saved", "single" */
    uint32_t rank, size;
    struct topology *topo;
    char host[BOOT_HOST_SIZE];
    char bind[BOOT_URI_SIZE];                                  /* "": no children */
    char public_key[BOOT_KEY_SIZE], secret_key[BOOT_KEY_SIZE]; /* "": no CURVE */
    char *topo_spec;
    const uint32_t *parents; /* for "custom", while the shape is made; else NULL */
    char *hostlist;          /* all hosts in the order of ranks, RFC 29; NULL: not known */
    struct boot_neighbour parent;
    struct boot_neighbour *children; /* whose keys are good; with one key for all: none */
    size_t nchildren;
    bool ipv6;
    double connect_timeout, tcp_user_timeout, torpid_max; /* seconds */
    struct pmi_client *pmi;                               /* until boot_finish() */
};

/* Everything but, with PMI, the neighbours. 0 or -errno with a sentence. */
int boot_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error);
/* uri: where the overlay listens, or NULL. Afterwards the neighbours are known. */
int boot_finish(struct boot *b, const char *uri, const char *rundir, flux_error_t *error);
void boot_deinit(struct boot *b);

/* --- the ways. 0; -ENOENT: this is not the way; other errors with a sentence. */
int boot_config(struct boot *b, const struct boot_options *opts, flux_error_t *error);
int boot_pmi_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error);
int boot_pmi_finish(struct boot *b, const char *uri, flux_error_t *error);
int boot_saved_load(struct boot *b, const char *rundir, flux_error_t *error);
int boot_saved_store(const struct boot *b, const char *uri, const char *rundir,
                     flux_error_t *error);

/* The shape that the words ask for. */
int boot_shape(struct boot *b, const char *topo, const char *fanout, flux_error_t *error);
int boot_make_keys(struct boot *b);

/* For overlay_config. arg: the struct boot. */
const char *boot_key_owner(const char *public_key, void *arg);
bool boot_key_matches(const char *owner, uint32_t rank, void *arg);

#endif
