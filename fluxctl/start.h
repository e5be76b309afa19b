/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the parts of fluxctl start share. */
#ifndef FLUXCTL_START_H
#define FLUXCTL_START_H

#include "supervise/unitfile.h"

/* Where the parts of an instance are: installed, or in the build tree this fluxctl lies in. */
struct start_layout {
    char *supervise; /* flux-supervise */
    char *units;     /* directory */
    char *exec_path; /* colon list of directories with daemons; NULL: where the units say */
    char *shell;     /* flux-shell; NULL: the installed one */
};

struct cmdline;

struct start_options {
    const struct cmdline *c;
    struct start_layout layout;
    char *rundir, *statedir, *confdir; /* absolute; NULL: not given */
    char **broker_args;
    char **argv; /* the command; lent */
    int verbose;
    bool noexec, user_manager;
};

int start_layout_find(struct start_layout *ret); /* 0 or -ENOMEM */
void start_layout_deinit(struct start_layout *l);
/* The path of a program of libexec or of the build tree; malloc'd. */
char *start_layout_program(const struct start_layout *l, const char *name);
void start_options_deinit(struct start_options *o);

#endif
