/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TOML files to JSON, over toml++. The only C++ in the project sits behind these functions. */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include <jansson.h>
#include <flux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Dates become strings. NULL with errno EINVAL and "FILE:LINE: reason", or the errno of opening it.
 */
json_t *toml_parse_file(const char *path, flux_error_t *error);
json_t *toml_parse_string(const char *text, size_t len, flux_error_t *error);
/* All *.toml of a directory in name order, merged table by table; a later file wins per key. No
 * such directory: ENOENT. */
json_t *toml_parse_dir(const char *path, flux_error_t *error);

#ifdef __cplusplus
}
#endif

#endif
