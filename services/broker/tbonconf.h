/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How the tree is to behave: [tbon] of the configuration, and attributes tbon.* of the command
 * line, which win. The same for every kind of bootstrap. No I/O. See flux-config-tbon(5). */
#ifndef BROKER_TBONCONF_H
#define BROKER_TBONCONF_H

#include <jansson.h>
#include <flux/types.h>

struct broker_options;

struct tbonconf {
    const char *topo;        /* lent; NULL: not given */
    int fanout;              /* -1: not given */
    bool shape_is_argument;  /* the shape is of the command line */
    double connect_timeout;  /* seconds, as all below */
    double tcp_user_timeout; /* 0: the system's */
    double torpid_min;
    double torpid_max;      /* 0: nobody is reported */
    double restart_timeout; /* 0: sessions end with each process of a router */
    bool zmqdebug;
    bool prefertcp;
};

/* config and options must outlive the strings; options may be NULL. 0 or -EINVAL with a sentence
 * that names the key or attribute: one that nobody knows too. */
int tbonconf_read(struct tbonconf *ret, const json_t *config, const struct broker_options *options,
                  flux_error_t *error);

#endif
