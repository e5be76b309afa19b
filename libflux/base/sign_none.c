/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signed requests with mechanism "none". Unwrapping accepts exactly three keys, each once, in any
 * order; it refuses other mechanisms and versions, missing and unknown keys, and trailing bytes in
 * any part. What it returns is authenticated by nobody: the caller compares the userid with the
 * credentials of the message. */
#include "base/sign_none.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/number.h"

#define SUFFIX     ".none"
#define HEADER_MAX 256 /* bytes of base64 */

char *sign_none_wrap(const char *payload, size_t size, uint32_t userid)
{
    CLEANUP(freep) char *header64 = NULL;
    CLEANUP(freep) char *payload64 = NULL;
    char header[64];
    char *j;
    int n;

    n = snprintf(header, sizeof(header), "version%ci1%cmechanism%csnone%cuserid%ci%u%c", 0, 0, 0, 0,
                 0, userid, 0);
    if (!(header64 = base64_encode(header, (size_t)n, NULL)) ||
        !(payload64 = base64_encode(payload, size, NULL)))
        return NULL;
    if (asprintf(&j, "%s.%s" SUFFIX, header64, payload64) < 0) {
        errno = ENOMEM;
        return NULL;
    }
    return j;
}

struct header {
    char *version;
    char *mechanism;
    char *userid;
};

/* One of the three known keys, not seen before. */
static char **header_slot(struct header *h, const char *key)
{
    char **slot = NULL;

    if (strcmp(key, "version") == 0)
        slot = &h->version;
    else if (strcmp(key, "mechanism") == 0)
        slot = &h->mechanism;
    else if (strcmp(key, "userid") == 0)
        slot = &h->userid;
    return slot && !*slot ? slot : NULL;
}

/* Split "key NUL value NUL ..." in place. */
static int header_split(char *s, size_t size, struct header *h)
{
    char *end = s + size;

    while (s < end) {
        char *key = s;
        char *value = memchr(key, '\0', (size_t)(end - key));
        char *stop;
        char **slot;

        if (!value || ++value >= end)
            return -EINVAL;
        if (!(stop = memchr(value, '\0', (size_t)(end - value))))
            return -EINVAL;
        if (!(slot = header_slot(h, key)))
            return -EINVAL;
        *slot = value;
        s = stop + 1;
    }
    return h->version && h->mechanism && h->userid ? 0 : -EINVAL;
}

static int header_parse(const char *s, size_t len, uint32_t *ret_userid, flux_error_t *error)
{
    CLEANUP(freep) char *text = NULL;
    struct header h = { 0 };
    size_t size;

    if (len <= HEADER_MAX && !(text = base64_decode(s, len, &size)) && errno == ENOMEM)
        return errorx_fail(error, ENOMEM, "out of memory");
    if (!text || header_split(text, size, &h) < 0)
        return errorx_fail(error, EINVAL, "the header of the signed request is malformed");
    if (strcmp(h.version, "i1") != 0)
        return errorx_fail(error, EINVAL, "the signed request is not of version 1");
    if (strcmp(h.mechanism, "snone") != 0)
        return errorx_fail(error, EINVAL, "the request is signed with mechanism '%.20s', not none",
                           h.mechanism[0] == 's' ? h.mechanism + 1 : "");
    if (h.userid[0] != 'i' || number_parse_u32(h.userid + 1, ret_userid) < 0)
        return errorx_fail(error, EINVAL, "the signed request names no valid userid");
    return 0;
}

int sign_none_unwrap(const char *j, size_t len, char **ret_payload, size_t *ret_size,
                     uint32_t *ret_userid, flux_error_t *error)
{
    const size_t suffix_len = strlen(SUFFIX);
    const char *dot = memchr(j, '.', len);
    const char *payload;
    char *data;
    uint32_t userid;
    size_t size;
    int rc;

    if (!dot)
        return errorx_fail(error, EINVAL,
                           "the signed request has no HEADER.PAYLOAD.SIGNATURE form");
    if ((rc = header_parse(j, (size_t)(dot - j), &userid, error)) < 0)
        return rc;
    payload = dot + 1;
    len -= (size_t)(payload - j);
    if (len < suffix_len || memcmp(payload + len - suffix_len, SUFFIX, suffix_len) != 0)
        return errorx_fail(error, EINVAL, "the signed request does not end in '%s'", SUFFIX);
    if (!(data = base64_decode(payload, len - suffix_len, &size)))
        return errorx_fail(error, errno, "the payload of the signed request is not valid base64");
    *ret_payload = data;
    *ret_size = size;
    *ret_userid = userid;
    return 0;
}
