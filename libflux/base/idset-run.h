/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef BASE_IDSET_RUN_H
#define BASE_IDSET_RUN_H

#include <flux/idset.h>

/* The last of the ids that follow one another without a gap, from id on, which is in the set. Costs
 * a step for 64 ids. */
unsigned int idset_run_end(const struct idset *set, unsigned int id);

#endif
