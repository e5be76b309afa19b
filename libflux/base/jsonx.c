/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Bounded decoding of JSON text from a peer, and shape checks of payloads.
 *
 * The depth is bounded before jansson sees the text, so its recursion is bounded too. Shapes are
 * string constants of the program: a malformed shape is a programmer's mistake and asserted. */
#include "base/jsonx.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/errorx.h"

size_t jsonx_text_depth(const char *s, size_t len)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (s[i] == '\\')
                i++;
            else if (s[i] == '"')
                in_string = false;
        } else if (s[i] == '"') {
            in_string = true;
        } else if (s[i] == '{' || s[i] == '[') {
            if (++depth > deepest)
                deepest = depth;
        } else if ((s[i] == '}' || s[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

json_t *jsonx_decode_object(const char *s, size_t len, flux_error_t *error)
{
    const int saved_errno = errno;
    json_error_t e;
    json_t *o;

    if (jsonx_text_depth(s, len) > JSONX_DEPTH_MAX) {
        errorx_set(error, "JSON is nested more than %d levels deep", JSONX_DEPTH_MAX);
        errno = EPROTO;
        return NULL;
    }
    errno = 0;
    if (!(o = json_loadb(s, len, JSON_REJECT_DUPLICATES, &e))) {
        errno = jsonx_errno(EPROTO);
        if (errno == ENOMEM)
            errorx_set(error, "out of memory");
        else
            errorx_set(error, "not valid JSON at byte %d: %s", e.position, e.text);
        return NULL;
    }
    if (!json_is_object(o)) {
        errorx_set(error, "JSON is not an object");
        json_decref(o);
        errno = EPROTO;
        return NULL;
    }
    errno = saved_errno;
    return o;
}

static const char *type_name(const json_t *o)
{
    switch (json_typeof(o)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static bool value_matches(const json_t *v, char type)
{
    json_int_t i = json_integer_value(v);

    switch (type) {
    case 's':
        return json_is_string(v);
    case 'i':
        return json_is_integer(v) && i >= INT_MIN && i <= INT_MAX;
    case 'I':
        return json_is_integer(v);
    case 'u':
        return json_is_integer(v) && i >= 0 && i <= UINT32_MAX;
    case 'b':
        return json_is_boolean(v);
    case 'n':
        return json_is_number(v);
    case 'o':
        return json_is_object(v);
    case 'a':
        return json_is_array(v);
    case '*':
        return true;
    }
    return false;
}

static const char *type_expected(char type)
{
    switch (type) {
    case 's':
        return "a string";
    case 'i':
        return "an integer of 32 bits";
    case 'I':
        return "an integer";
    case 'u':
        return "an integer from 0 to 4294967295";
    case 'b':
        return "a boolean";
    case 'n':
        return "a number";
    case 'o':
        return "an object";
    case 'a':
        return "an array";
    }
    return "a value";
}

/* One word "key:type" or "key?:type" of a shape. */
static int check_word(const json_t *o, const char *word, size_t len, flux_error_t *error)
{
    const char *colon = memchr(word, ':', len);
    char type = word[len - 1];
    char key[64];
    bool optional;
    size_t keylen;
    const json_t *v;

    assert(colon && colon > word && colon + 2 == word + len && strchr("siIubnoa*", type));
    optional = colon[-1] == '?';
    keylen = (size_t)(colon - word) - optional;
    assert(keylen > 0 && keylen < sizeof(key));
    memcpy(key, word, keylen);
    key[keylen] = '\0';

    if (!(v = json_object_get(o, key))) {
        if (optional)
            return 0;
        return errorx_fail(error, EPROTO, "%s: missing, must be %s", key, type_expected(type));
    }
    if (!value_matches(v, type))
        return errorx_fail(error, EPROTO, "%s: must be %s, not %s", key, type_expected(type),
                           json_is_integer(v) && strchr("iu", type) ? "one out of that range"
                                                                    : type_name(v));
    return 0;
}

int jsonx_check_shape(const json_t *o, const char *shape, flux_error_t *error)
{
    if (!json_is_object(o))
        return errorx_fail(error, EPROTO, "payload must be a JSON object");
    for (;;) {
        size_t len;
        int rc;

        shape += strspn(shape, " ");
        if ((len = strcspn(shape, " ")) == 0)
            return 0;
        if ((rc = check_word(o, shape, len, error)) < 0)
            return rc;
        shape += len;
    }
}

char *jsonx_encode(const json_t *o, size_t *ret_size)
{
    char *s = json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY);

    if (!s) {
        errno = o ? ENOMEM : EINVAL;
        return NULL;
    }
    if (ret_size)
        *ret_size = strlen(s) + 1;
    return s;
}

static const json_t *child(const json_t *o, const char *key, size_t len)
{
    if (!json_is_array(o))
        return json_object_getn(o, key, len);
    return len > 0 && strspn(key, "0123456789") == len ? json_array_get(o, strtoul(key, NULL, 10))
                                                       : NULL;
}

json_t *jsonx_at(const json_t *o, const char *path)
{
    while (o && *path) {
        const size_t len = strcspn(path, ".");

        o = child(o, path, len);
        path += len + (path[len] == '.');
    }
    return (json_t *)o;
}

int jsonx_merge(json_t *to, const json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)from, key, value) {
        json_t *old = json_object_get(to, key);
        int rc = 0;

        if (json_is_null(value))
            (void)json_object_del(to, key);
        else if (!json_is_object(value))
            rc = json_object_set_new(to, key, json_deep_copy(value)) < 0 ? -ENOMEM : 0;
        else if (!json_is_object(old) && json_object_set_new(to, key, json_object()) < 0)
            rc = -ENOMEM;
        else
            rc = jsonx_merge(json_object_get(to, key), value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int jsonx_errno(int errnum)
{
    return errno == ENOMEM ? ENOMEM : errnum;
}
