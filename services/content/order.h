/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The order in which blobs are moved from the journal into the store. */
#ifndef CONTENT_ORDER_H
#define CONTENT_ORDER_H

#include "content/record.h"

/* Indices of the entries, by digest, as the index of the store is: its first two bytes count, those
 * that agree in them keep their order. malloc'd; NULL: no memory. */
uint32_t *order_by_digest(const struct segment_entry *entries, uint32_t count);

#endif
