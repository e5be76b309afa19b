/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What we ask of jansson everywhere: bounded decoding of foreign text, shape checks. For cleanup
 * jansson has json_decrefp: CLEANUP(json_decrefp) json_t *o = NULL; */
#ifndef BASE_JSONX_H
#define BASE_JSONX_H

#include <jansson.h>
#include <flux/types.h>
#include "base/cleanup.h"

#define JSONX_DEPTH_MAX 64

/* Deepest nesting of brackets outside strings; the text need not be valid. */
size_t jsonx_text_depth(const char *s, size_t len);

/* Decode text of a peer: rejects duplicate keys, depth over 64, NUL in strings, trailing bytes, and
 * anything that is not an object. NULL with errno EPROTO and a sentence in error (may be NULL). */
json_t *jsonx_decode_object(const char *s, size_t len, flux_error_t *error);

/* Check an object against a shape: words "key:type" separated by spaces, "key?:type" for optional
 * ones. Types: s string, i integer in int range, I integer, u integer >= 0 in uint32 range, b
 * boolean, n number, o object, a array, * any. Keys that the shape does not name are ignored. 0 or
 * -EPROTO; the sentence names the key, what was expected and what was found. */
int jsonx_check_shape(const json_t *o, const char *shape, flux_error_t *error);

/* Serialized form with the NUL counted in *ret_size; malloc'd. */
char *jsonx_encode(const json_t *o, size_t *ret_size);

/* What is at a path of keys with dots between ("exec.test.run_duration"; in an array: a number), of
 * any length; "": o itself. Lent; NULL: nothing, or o is NULL. */
json_t *jsonx_at(const json_t *o, const char *path);

/* Merge an object into another, and the objects below it: null removes a key. 0 or -ENOMEM. */
int jsonx_merge(json_t *to, const json_t *from);

/* jansson does not say why it failed, but malloc(3) does: with errno set to 0 before the call,
 * ENOMEM or errnum. */
int jsonx_errno(int errnum);

#endif
