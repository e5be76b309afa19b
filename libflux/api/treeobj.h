/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 11 tree objects as JSON, for the client side of the KVS. Constructors return NULL with errno
 * ENOMEM or EINVAL; what they return has been validated. */
#ifndef API_TREEOBJ_H
#define API_TREEOBJ_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

json_t *treeobj_create_val(const void *data, size_t size);
json_t *treeobj_create_dir(void);
json_t *treeobj_create_symlink(const char *ns, const char *target); /* ns may be NULL */
json_t *treeobj_create_dirref(const char *blobref);

/* Whole object, directories within directories included (at most TREEOBJ_DEPTH_MAX deep). 0 or
 * -EINVAL. */
#define TREEOBJ_DEPTH_MAX 32
int treeobj_validate(const json_t *o);
/* Parse text and validate. NULL: EINVAL. */
json_t *treeobj_decode(const char *text, size_t len);
char *treeobj_encode(const json_t *o); /* malloc'd */

bool treeobj_is_type(const json_t *o, const char *type);
const json_t *treeobj_data(const json_t *o);
/* Bytes of a val; *ret_data is malloc'd, one byte longer than size and terminated with NUL.
 * 0, -EINVAL, -ENOMEM. */
int treeobj_decode_val(const json_t *o, char **ret_data, size_t *ret_size);

#endif
