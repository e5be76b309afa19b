/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How a router learns who it is: rank, size, where it listens, where its parent is and which keys
 * are good. From the configuration ([bootstrap], boot_config.c), from PMI (boot_pmi.c), from what
 * the process before had found out (boot_saved.c), or it is alone. */
#ifndef BROKER_BOOT_H
#define BROKER_BOOT_H

#include <jansson.h>
#include <flux/types.h>
#include "base/cleanup.h"
#include "broker/endpoint.h"
#include "broker/overlay.h"
#include "broker/tbonconf.h"
#include "broker/topology.h"

#define BOOT_KEY_SIZE  41 /* Z85, with its NUL */
#define BOOT_HOST_SIZE ENDPOINT_HOST_SIZE
#define BOOT_URI_SIZE  ENDPOINT_SIZE

struct pmi_client;

struct boot_options {
    const json_t *config;
    const char *rundir;
    const struct tbonconf *tbon;
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
    char *keydir; /* [bootstrap] keydir; NULL: none */
    bool ipv6;
    struct pmi_client *pmi; /* until boot_finish() */
};

/* Everything but, with PMI, the neighbours. 0 or -errno with a sentence. */
int boot_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error);
/* uri: where the overlay listens, or NULL. Afterwards the neighbours are known. */
int boot_finish(struct boot *b, const char *uri, const char *rundir, flux_error_t *error);
void boot_deinit(struct boot *b);
/* Read the keys of the neighbours again, if each host has one of its own. A neighbour whose file is
 * gone or bad has no good key afterwards (logged); parent.key is "" then. */
void boot_reload_keys(struct boot *b);

/* --- the ways. 0; -ENOENT: this is not the way; other errors with a sentence. */
int boot_config(struct boot *b, const struct boot_options *opts, flux_error_t *error);
int boot_pmi_begin(struct boot *b, const struct boot_options *opts, flux_error_t *error);
int boot_pmi_finish(struct boot *b, const char *uri, flux_error_t *error);
int boot_saved_load(struct boot *b, const char *rundir, flux_error_t *error);
int boot_saved_store(const struct boot *b, const char *uri, const char *rundir,
                     flux_error_t *error);

/* The shape that tbon asks for, or fallback. */
int boot_shape(struct boot *b, const struct tbonconf *tbon, const char *fallback,
               flux_error_t *error);
int boot_set_shape(struct boot *b, const char *spec, flux_error_t *error);
int boot_make_keys(struct boot *b);

/* For overlay_config. arg: the struct boot. */
const char *boot_key_owner(const char *public_key, void *arg);
bool boot_key_matches(const char *public_key, uint32_t rank, void *arg);

#endif
