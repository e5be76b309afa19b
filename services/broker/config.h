/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The configuration of the node: TOML files of one directory. */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include <jansson.h>
#include <flux/types.h>

struct broker_config {
    char *path; /* NULL: none */
    json_t *o;  /* never NULL once loaded */
};

/* path, or $FLUX_CONF_DIR (must exist; empty: none); for the system instance (/run/flux) the
 * system's conf.d if it is there. 0 or -errno with a sentence "FILE:LINE: why". */
int broker_config_load(struct broker_config *c, const char *path, const char *rundir,
                       flux_error_t *error);
/* Read again; on failure what was there stays. */
int broker_config_reload(struct broker_config *c, flux_error_t *error);
void broker_config_deinit(struct broker_config *c);
/* A boolean at TABLE.KEY. */
bool broker_config_flag(const struct broker_config *c, const char *table, const char *key);

#endif
