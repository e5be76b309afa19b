/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The command line of flux-broker. */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H

#include <flux/types.h>

#include "broker/attr.h"

struct broker_options {
    const char *config_path; /* instead of $FLUX_CONF_DIR; NULL: not given */
    int nassignments;
    char **assignments; /* "NAME=VALUE", lent from argv */
};

extern const char broker_options_usage[];

/* 0, or -errno with a sentence. */
int broker_options_parse(int argc, char **argv, struct broker_options *ret, flux_error_t *error);
void broker_options_deinit(struct broker_options *o);
/* The value of an assignment, lent; NULL: none. */
const char *broker_options_value(const struct broker_options *o, const char *name);
/* Set the attributes, but for tbon.* and those of life.c and instance.c: these are asked for before
 * there are any. 0, or -errno with a sentence. */
int broker_options_apply(const struct broker_options *o, struct attrs *attrs, flux_error_t *error);

#endif
