/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the values of checkpoints refer to. */
#ifndef CONTENT_CHECKPOINT_H
#define CONTENT_CHECKPOINT_H

#include <jansson.h>
#include "base/digest.h"

/* checkpoints: key -> text, as store_checkpoints(). Adds each blobref that is a string anywhere in
 * them to refs, an array. What is no JSON refers to nothing. -ENOMEM. */
int checkpoint_refs(const json_t *checkpoints, enum digest_algorithm hash, json_t *refs);

#endif
