/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* --cc and --bcc: one job becomes several. */
#ifndef FLUXCTL_COPIES_H
#define FLUXCTL_COPIES_H

#include <flux/idset.h>

#include "options.h"

struct copies {
    struct idset *ids; /* NULL: one job */
    bool set_cc;       /* FLUX_JOB_CC is wanted */
    bool started;
    unsigned int id;
    char text[16];
};

/* 0, or -1 after complaining. */
int copies_init(struct copies *k, const struct cmdline *c);
void copies_deinit(struct copies *k);
size_t copies_count(const struct copies *k);
/* On to the next: false if there is none. *ret_cc: its id as text, NULL without --cc and --bcc. */
bool copies_next(struct copies *k, const char **ret_cc);

#endif
