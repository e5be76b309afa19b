/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The request parser: no allocation, no library but libc, fixed keys. Refuses unknown keys,
 * repeated keys, missing keys, empty values, leading zeros, signs, spaces, values over their
 * limits, bytes behind the last NUL, and paths that are not plain. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "request.h"

enum field { F_VERB, F_JOBID, F_USERID, F_URI, F_SIGNUM, F_COUNT };

static const char *const names[F_COUNT] = {
    [F_VERB] = "verb", [F_JOBID] = "jobid",   [F_USERID] = "userid",
    [F_URI] = "uri",   [F_SIGNUM] = "signum",
};

static const unsigned int wanted[] = {
    [IMP_START] = 1u << F_VERB | 1u << F_JOBID | 1u << F_USERID | 1u << F_URI,
    [IMP_KILL] = 1u << F_VERB | 1u << F_JOBID | 1u << F_SIGNUM,
    [IMP_LIST] = 1u << F_VERB,
};

static int fail(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EINVAL;
}

static bool parse_number(const char *s, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (!s[0] || (s[0] == '0' && s[1]))
        return false;
    for (; *s; s++) {
        const unsigned int digit = (unsigned int)(unsigned char)*s - '0';

        if (digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return true;
}

/* local:///A/B: absolute, no "..", no character that means anything to anybody. */
static bool parse_uri(const char *s, char *ret)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    const size_t len = strlen(s);

    if (len >= IMP_URI_MAX || strncmp(s, "local:///", 9) != 0 || len == 9 ||
        strspn(s + 8, plain) != len - 8 || strstr(s, "..") || strstr(s + 8, "//"))
        return false;
    memcpy(ret, s, len + 1);
    return true;
}

static bool parse_verb(const char *s, enum imp_verb *ret)
{
    *ret = strcmp(s, "start") == 0  ? IMP_START
           : strcmp(s, "kill") == 0 ? IMP_KILL
           : strcmp(s, "list") == 0 ? IMP_LIST
                                    : 0;
    return *ret != 0;
}

static bool parse_value(enum field field, const char *value, struct imp_request *req)
{
    uint64_t n;

    switch (field) {
    case F_VERB:
        return parse_verb(value, &req->verb);
    case F_JOBID:
        return parse_number(value, UINT64_MAX, &req->jobid) && req->jobid > 0;
    case F_USERID:
        if (!parse_number(value, UINT32_MAX, &n))
            return false;
        req->userid = (uint32_t)n;
        return true;
    case F_SIGNUM:
        if (!parse_number(value, 64, &n) || n == 0)
            return false;
        req->signum = (int)n;
        return true;
    case F_URI:
        return parse_uri(value, req->uri);
    case F_COUNT:
        break;
    }
    return false;
}

static enum field find_field(const char *s, size_t len)
{
    enum field f = 0;

    while (f < F_COUNT && (strlen(names[f]) != len || memcmp(names[f], s, len) != 0))
        f++;
    return f;
}

int imp_request_parse(const char *data, size_t size, struct imp_request *ret, const char **ret_why)
{
    struct imp_request req;
    unsigned int seen = 0;

    memset(&req, 0, sizeof(req));
    if (size == 0 || size > IMP_REQUEST_MAX)
        return fail(ret_why, "the request is empty or too long");
    if (data[size - 1] != '\0')
        return fail(ret_why, "the request does not end with NUL");
    for (const char *p = data; p < data + size; p += strlen(p) + 1) {
        const char *equals = strchr(p, '=');
        const enum field f = equals ? find_field(p, (size_t)(equals - p)) : F_COUNT;

        if (f == F_COUNT)
            return fail(ret_why, "the request has an unknown field");
        if (seen & 1u << f)
            return fail(ret_why, "the request has a field twice");
        seen |= 1u << f;
        if (!parse_value(f, equals + 1, &req))
            return fail(ret_why, "the request has a bad value");
    }
    if (!req.verb || seen != wanted[req.verb])
        return fail(ret_why, "the request lacks a field or has one too many");
    *ret = req;
    return 0;
}

const char *imp_request_refuse(const struct imp_request *req, uid_t peer, uid_t owner)
{
    if (owner == 0 || owner == 65534 || owner == (uid_t)-1)
        return "the instance owner must be a user of its own, not root or nobody";
    if (peer != owner)
        return "only the owner of the Flux instance may ask";
    if (req->verb == IMP_START && req->userid != owner)
        return "jobs of other users are not started yet, only those of the instance owner";
    return NULL;
}
