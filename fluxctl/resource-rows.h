/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lines of `fluxctl resource list`, `status` and `drain`: resources of one state, and the
 * fields that formats may name. */
#ifndef FLUXCTL_RESOURCE_ROWS_H
#define FLUXCTL_RESOURCE_ROWS_H

#include "base/cleanup.h"
#include "base/rset.h"
#include "format.h"

enum row_up { ROW_MIXED, ROW_UP, ROW_DOWN };

struct row {
    const char *state; /* not owned; "avail" */
    enum row_up up;
    bool marked; /* the state is shown with a star: the nodes are offline */
    struct rset *r;
    const char *reason; /* not owned; NULL: does not apply */
    double timestamp;   /* 0: does not apply */
};

struct rows {
    struct row *rows;
    size_t count;
};

void rows_deinit(struct rows *rows);
DEFINE_CLEANUP(struct rows *, rows_deinit)

/* Adds a row with the resources that `all` has on these ranks. 0 or -ENOMEM. */
int rows_add(struct rows *rows, const struct row *row, const struct rset *all,
             const struct idset *ranks);

/* The resources of all on these ranks. 0 or -ENOMEM. */
int rset_restrict(const struct rset *all, const struct idset *ranks, struct rset **ret);
/* NULL: there is no such field. */
const char *row_heading(const char *field);

void rows_print(const struct rows *rows, const struct format *format, bool heading);
/* An array of objects with all fields. */
void rows_print_json(const struct rows *rows);

#endif
