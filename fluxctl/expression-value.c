/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Values of expressions, the functions int float str len abs min max round and the methods upper
 * lower strip replace zfill startswith endswith. Integers have 64 bits; what exceeds them is
 * refused, not wrapped. */
#include "expression-value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "real-text.h"

#define TEXT_MAX 65536

void val_free(struct val *v)
{
    free(v->s);
    *v = (struct val){ 0 };
}

void val_set_text(struct val *v, char *s)
{
    val_free(v);
    *v = (struct val){ .kind = KIND_TEXT, .s = s };
}

void val_set_int(struct val *v, int64_t i)
{
    val_free(v);
    *v = (struct val){ .kind = KIND_INT, .i = i };
}

void val_set_bool(struct val *v, bool b)
{
    val_free(v);
    *v = (struct val){ .kind = KIND_BOOL, .i = b };
}

void val_set_real(struct val *v, double r)
{
    val_free(v);
    *v = (struct val){ .kind = KIND_REAL, .r = r };
}

bool val_is_integral(const struct val *v)
{
    return v->kind == KIND_INT || v->kind == KIND_BOOL;
}

double val_real(const struct val *v)
{
    return v->kind == KIND_REAL ? v->r : (double)v->i;
}

bool val_is_true(const struct val *v)
{
    if (v->kind == KIND_TEXT)
        return v->s[0] != '\0';
    return v->kind == KIND_REAL ? v->r != 0 : v->i != 0;
}

int val_type_error(const char *what, flux_error_t *error)
{
    return errorx_fail(error, EINVAL, "%s does not go with these types", what);
}

int val_overflow(flux_error_t *error)
{
    return errorx_fail(error, EOVERFLOW, "the result is too large");
}

/* --- text of a value --- */

char *val_text(const struct val *v)
{
    char buf[64];

    if (v->kind == KIND_TEXT)
        return strdup(v->s);
    if (v->kind == KIND_BOOL)
        return strdup(v->i ? "True" : "False");
    if (v->kind == KIND_INT) {
        snprintf(buf, sizeof(buf), "%lld", (long long)v->i);
        return strdup(buf);
    }
    real_text(buf, v->r);
    return strdup(buf);
}

/* --- functions --- */

static int call_int(struct val *v, flux_error_t *error)
{
    if (v->kind == KIND_TEXT) {
        char *end;
        long long n;

        errno = 0;
        n = strtoll(v->s, &end, 10);
        if (!v->s[0] || end == v->s || end[strspn(end, " \t\n")] || errno)
            return errorx_fail(error, EINVAL, "int(): '%s' is not a whole number", v->s);
        val_set_int(v, n);
    } else if (v->kind == KIND_REAL) {
        if (!(fabs(v->r) < 9.2e18))
            return val_overflow(error);
        val_set_int(v, (int64_t)v->r);
    } else {
        val_set_int(v, v->i);
    }
    return 0;
}

static int call_float(struct val *v, flux_error_t *error)
{
    double r;

    if (v->kind == KIND_TEXT) {
        if (number_parse_double(v->s, &r) < 0)
            return errorx_fail(error, EINVAL, "float(): '%s' is not a number", v->s);
        val_set_real(v, r);
    } else {
        val_set_real(v, val_real(v));
    }
    return 0;
}

int val_compare(const struct val *a, const struct val *b, int *ret, flux_error_t *error)
{
    double x, y;

    if ((a->kind == KIND_TEXT) != (b->kind == KIND_TEXT))
        return val_type_error("a comparison", error);
    if (a->kind == KIND_TEXT) {
        *ret = strcmp(a->s, b->s);
        return 0;
    }
    if (val_is_integral(a) && val_is_integral(b)) {
        *ret = (a->i > b->i) - (a->i < b->i);
        return 0;
    }
    x = val_real(a);
    y = val_real(b);
    *ret = (x > y) - (x < y);
    return 0;
}

/* min and max: leave the choice in args[0]. */
static int call_extreme(struct val *args, int n, int sign, flux_error_t *error)
{
    for (int k = 1; k < n; k++) {
        int c = 0, rc;

        if ((rc = val_compare(&args[k], &args[0], &c, error)) < 0)
            return rc;
        if (c * sign > 0) {
            struct val t = args[0];

            args[0] = args[k];
            args[k] = t;
        }
    }
    return 0;
}

static int call_abs(struct val *v, flux_error_t *error)
{
    if (v->kind == KIND_TEXT)
        return val_type_error("abs()", error);
    if (v->kind == KIND_REAL)
        v->r = fabs(v->r);
    else if (v->i == INT64_MIN)
        return val_overflow(error);
    else
        val_set_int(v, llabs(v->i));
    return 0;
}

static int call_round(struct val *args, int n, flux_error_t *error)
{
    double r;

    if (args[0].kind == KIND_TEXT || (n > 1 && !val_is_integral(&args[1])))
        return val_type_error("round()", error);
    r = val_real(&args[0]);
    if (n > 1) {
        double scale = pow(10, (double)args[1].i);

        val_set_real(&args[0], nearbyint(r * scale) / scale);
        return 0;
    }
    if (!(fabs(r) < 9.2e18))
        return val_overflow(error);
    val_set_int(&args[0], (int64_t)nearbyint(r));
    return 0;
}

/* The result is left in args[0]. */
int val_call(const char *name, struct val *args, int n, flux_error_t *error)
{
    char *text;

    if (strcmp(name, "int") == 0 && n == 1)
        return call_int(args, error);
    if (strcmp(name, "float") == 0 && n == 1)
        return call_float(args, error);
    if (strcmp(name, "abs") == 0 && n == 1)
        return call_abs(args, error);
    if (strcmp(name, "round") == 0 && (n == 1 || n == 2))
        return call_round(args, n, error);
    if (strcmp(name, "min") == 0 && n > 1)
        return call_extreme(args, n, -1, error);
    if (strcmp(name, "max") == 0 && n > 1)
        return call_extreme(args, n, 1, error);
    if (strcmp(name, "len") == 0 && n == 1 && args[0].kind == KIND_TEXT) {
        val_set_int(args, (int64_t)strlen(args[0].s));
        return 0;
    }
    if (strcmp(name, "str") == 0 && n == 1) {
        if (!(text = val_text(args)))
            return -ENOMEM;
        val_set_text(args, text);
        return 0;
    }
    return errorx_fail(error, EINVAL,
                       "%s() with %d argument%s is not available; there are int, float, str, len, "
                       "abs, min, max and round",
                       name, n, n == 1 ? "" : "s");
}

static char *replace(const char *s, const char *from, const char *to)
{
    char *text = NULL;
    size_t size, len = strlen(from);
    FILE *f = open_memstream(&text, &size);
    const char *hit;

    if (!f)
        return NULL;
    while (len > 0 && (hit = strstr(s, from))) {
        fprintf(f, "%.*s%s", (int)(hit - s), s, to);
        s = hit + len;
    }
    fputs(s, f);
    (void)fclose(f);
    return text;
}

static char *zfill(const char *s, int64_t width)
{
    size_t len = strlen(s), sign = s[0] == '-' || s[0] == '+';
    size_t pad = width > (int64_t)len && width < TEXT_MAX ? (size_t)width - len : 0;
    char *text = malloc(len + pad + 1);

    if (text) {
        memcpy(text, s, sign);
        memset(text + sign, '0', pad);
        memcpy(text + sign + pad, s + sign, len - sign + 1);
    }
    return text;
}

static char *change_case(const char *s, int (*change)(int c))
{
    char *text = strdup(s);

    for (char *p = text; p && *p; p++)
        *p = (char)change((unsigned char)*p);
    return text;
}

static char *strip(const char *s)
{
    size_t len;

    s += strspn(s, " \t\r\n");
    len = strlen(s);
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        len--;
    return strndup(s, len);
}

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);

    return a >= b && strcmp(s + a - b, end) == 0;
}

/* args[0] is the string; the result is left there. */
int val_method(const char *name, struct val *args, int n, flux_error_t *error)
{
    const char *s = args[0].s;
    bool text1 = n == 2 && args[1].kind == KIND_TEXT;
    char *out = NULL;

    if (args[0].kind != KIND_TEXT)
        return val_type_error("a method", error);
    if (text1 && strcmp(name, "startswith") == 0) {
        val_set_bool(args, strncmp(s, args[1].s, strlen(args[1].s)) == 0);
        return 0;
    }
    if (text1 && strcmp(name, "endswith") == 0) {
        val_set_bool(args, ends_with(s, args[1].s));
        return 0;
    }
    if (n == 1 && strcmp(name, "upper") == 0)
        out = change_case(s, toupper);
    else if (n == 1 && strcmp(name, "lower") == 0)
        out = change_case(s, tolower);
    else if (n == 1 && strcmp(name, "strip") == 0)
        out = strip(s);
    else if (n == 3 && strcmp(name, "replace") == 0 && args[1].kind == KIND_TEXT &&
             args[2].kind == KIND_TEXT)
        out = replace(s, args[1].s, args[2].s);
    else if (n == 2 && strcmp(name, "zfill") == 0 && val_is_integral(&args[1]))
        out = zfill(s, args[1].i);
    else
        return errorx_fail(error, EINVAL,
                           ".%s() like this is not available; strings have upper, lower, strip, "
                           "replace, zfill, startswith and endswith",
                           name);
    if (!out)
        return -ENOMEM;
    val_set_text(args, out);
    return 0;
}
