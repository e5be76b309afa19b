/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Content store: RFC 10, see flux_content_load(3). */
#ifndef FLUX_CONTENT_H
#define FLUX_CONTENT_H

#include <flux/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CONTENT_FLAG_CACHE_BYPASS 1
#define CONTENT_FLAG_UPSTREAM     2

flux_future_t *flux_content_load(flux_t *h, const char *blobref, int flags);
int flux_content_load_get(flux_future_t *f, const void **buf, size_t *len);
flux_future_t *flux_content_store(flux_t *h, const void *buf, size_t len, int flags);
int flux_content_store_get(flux_future_t *f, const char **blobref);

#ifdef __cplusplus
}
#endif

#endif
