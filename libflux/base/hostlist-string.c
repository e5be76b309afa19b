/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Host list strings (RFC 29).
 *
 * Parsing accepts one bracket per expression and empty expressions; it refuses space, ranges that
 * run backwards and numbers of more than 18 digits. Encoding joins neighbours that differ in one
 * number only, wherever in the name the number stands, and never changes the order. */
#include "base/hostlist.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define DIGITS_MAX 18

/* --- parsing --- */

struct expression {
    const char *prefix, *suffix;
    int prefix_len, suffix_len;
};

static bool name_char(char c)
{
    return isgraph((unsigned char)c) && !strchr(",[]", c);
}

/* Digits at *s, advanced past them. Returns their number or -EINVAL. */
static int parse_number(const char **s, uint64_t *ret)
{
    const char *p = *s;
    uint64_t v = 0;

    for (; isdigit((unsigned char)*p); p++) {
        if (p - *s >= DIGITS_MAX)
            return -EINVAL;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (p == *s)
        return -EINVAL;
    *ret = v;
    v = (uint64_t)(p - *s);
    *s = p;
    return (int)v;
}

static int add_range(struct hostlist *hl, const struct expression *x, int width, uint64_t lo,
                     uint64_t hi)
{
    char name[HOSTNAME_SIZE];

    if (hi - lo >= hostlist_room(hl)) /* before much of it is made in vain */
        return -EINVAL;
    for (uint64_t id = lo; id <= hi; id++) {
        int n = snprintf(name, sizeof(name), "%.*s%0*" PRIu64 "%.*s", x->prefix_len, x->prefix,
                         width, id, x->suffix_len, x->suffix);
        int rc = (size_t)n < sizeof(name) ? hostlist_add_name(hl, name) : -EINVAL;

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The text between the brackets. Leading zeros of the first number are kept for all. */
static int add_idlist(struct hostlist *hl, const struct expression *x, const char *s)
{
    int width = -1;

    for (;;) {
        const char *first = s;
        uint64_t lo, hi;
        int digits, rc;

        if ((digits = parse_number(&s, &lo)) < 0)
            return digits;
        if (width < 0)
            width = *first == '0' ? digits : 0;
        hi = lo;
        if (*s == '-') {
            s++;
            if (parse_number(&s, &hi) < 0 || hi < lo)
                return -EINVAL;
        }
        if ((rc = add_range(hl, x, width, lo, hi)) < 0)
            return rc;
        if (*s == ']')
            return 0;
        if (*s++ != ',')
            return -EINVAL;
    }
}

/* The characters of a name from s on. */
static int span(const char *s)
{
    int n = 0;

    while (name_char(s[n])) {
        if (++n >= HOSTNAME_SIZE)
            return -EINVAL;
    }
    return n;
}

static int add_expression(struct hostlist *hl, const char **s)
{
    struct expression x = { .prefix = *s };
    char name[HOSTNAME_SIZE];
    const char *close;

    if ((x.prefix_len = span(*s)) < 0)
        return -EINVAL;
    *s += x.prefix_len;
    if (**s != '[') {
        if (x.prefix_len == 0)
            return 0;
        memcpy(name, x.prefix, (size_t)x.prefix_len);
        name[x.prefix_len] = '\0';
        return hostlist_add_name(hl, name);
    }
    if (!(close = strchr(*s, ']')))
        return -EINVAL;
    x.suffix = close + 1;
    if ((x.suffix_len = span(x.suffix)) < 0 || x.suffix[x.suffix_len] == '[')
        return -EINVAL;
    const char *ids = *s + 1;
    *s = x.suffix + x.suffix_len;
    return add_idlist(hl, &x, ids);
}

int hostlist_parse(struct hostlist *hl, const char *s)
{
    int rc;

    while ((rc = add_expression(hl, &s)) == 0) {
        if (!*s)
            return 0;
        if (*s++ != ',')
            return -EINVAL;
    }
    return rc;
}

/* --- encoding --- */

/* Where the number of a group stands in the names of its members. */
struct group {
    const char *first; /* name of the first member */
    int prefix_len;
    int suffix_len;
    int width; /* of the first member's number if it has leading zeros, else 0 */
};

/* The number of a name at the place the group says, printed the way the group prints numbers. */
static bool group_number(const struct group *g, const char *name, uint64_t *ret)
{
    int len = (int)strlen(name);
    int first_len = (int)strlen(g->first);
    int digits = len - g->prefix_len - g->suffix_len;
    char canonical[DIGITS_MAX + 2];
    const char *s = name + g->prefix_len;

    if (digits < 1 || digits > DIGITS_MAX || memcmp(name, g->first, (size_t)g->prefix_len) != 0 ||
        memcmp(s + digits, g->first + first_len - g->suffix_len, (size_t)g->suffix_len) != 0)
        return false;
    if (parse_number(&s, ret) != digits)
        return false;
    snprintf(canonical, sizeof(canonical), "%0*" PRIu64, g->width, *ret);
    return (int)strlen(canonical) == digits && isdigit((unsigned char)name[g->prefix_len]);
}

/* A group whose number is the run of digits around position `at` of name. */
static bool group_at(struct group *g, const char *name, int at)
{
    int lo = at, hi = at;

    while (lo > 0 && isdigit((unsigned char)name[lo - 1]))
        lo--;
    while (isdigit((unsigned char)name[hi]))
        hi++;
    if (lo == hi || hi - lo > DIGITS_MAX)
        return false;
    g->first = name;
    g->prefix_len = lo;
    g->suffix_len = (int)strlen(name + hi);
    g->width = name[lo] == '0' ? hi - lo : 0;
    return true;
}

/* Can a and b, neighbours, share a group? Theirs is the run of digits where they first differ, or
 * the last run if they are equal. */
static bool group_of(struct group *g, const char *a, const char *b, uint64_t *ret_a)
{
    int at = 0;
    uint64_t ignored;

    while (a[at] && a[at] == b[at])
        at++;
    if (!a[at] && !b[at]) {
        while (at > 0 && !isdigit((unsigned char)a[at - 1]))
            at--;
    }
    return group_at(g, a, at) && group_number(g, a, ret_a) && group_number(g, b, &ignored);
}

/* The members of a group from number i on; returns the number after the last. */
static int put_group(FILE *f, const struct hostlist *hl, int i, const struct group *g, uint64_t lo)
{
    int count = hostlist_count(hl);
    const char *sep = "";
    bool more = true;

    fprintf(f, "%.*s[", g->prefix_len, g->first);
    while (more) {
        uint64_t hi = lo, next = 0;

        while ((more = ++i < count && group_number(g, hostlist_nth(hl, i), &next)) &&
               next == hi + 1)
            hi = next;
        fprintf(f, "%s%0*" PRIu64, sep, g->width, lo);
        if (hi > lo)
            fprintf(f, "-%0*" PRIu64, g->width, hi);
        sep = ",";
        lo = next;
    }
    fprintf(f, "]%s", g->first + strlen(g->first) - g->suffix_len);
    return i;
}

static void put_list(FILE *f, const struct hostlist *hl)
{
    int count = hostlist_count(hl);
    int i = 0;

    while (i < count) {
        const char *name = hostlist_nth(hl, i);
        struct group g;
        uint64_t lo;

        if (i > 0)
            fputc(',', f);
        if (i + 1 < count && group_of(&g, name, hostlist_nth(hl, i + 1), &lo)) {
            i = put_group(f, hl, i, &g, lo);
        } else {
            fputs(name, f);
            i++;
        }
    }
}

char *hostlist_encode(const struct hostlist *hl)
{
    char *s = NULL;
    size_t size;
    FILE *f;

    if (!hl) {
        errno = EINVAL;
        return NULL;
    }
    if (!(f = open_memstream(&s, &size)))
        return NULL;
    put_list(f, hl);
    if (fclose(f) != 0) {
        free(s);
        errno = ENOMEM;
        return NULL;
    }
    return s;
}
