/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A small evaluator with the precedences of Python: conditionals, and or not, comparisons, + - * /
 * // % **, indices and slices, int float str len abs min max round, and the methods upper lower
 * strip replace zfill startswith endswith. Everything else of Python is refused by name. Both
 * branches of a conditional are evaluated. Strings are counted in bytes. */
#include "expression.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "expression-value.h"

#define DEPTH_MAX 64
#define ARGS_MAX  8
#define TEXT_MAX  65536 /* of a repeated text */

struct eval {
    const char *p; /* what is left of the code */
    const char *x;
    int depth;
    flux_error_t *error;
};

static int conditional(struct eval *e, struct val *v);
static int conjunction(struct eval *e, struct val *v);

static void skip(struct eval *e)
{
    e->p += strspn(e->p, " \t");
}

static bool take(struct eval *e, const char *token)
{
    size_t len = strlen(token);

    skip(e);
    if (strncmp(e->p, token, len) != 0)
        return false;
    e->p += len;
    return true;
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool take_word(struct eval *e, const char *word)
{
    size_t len = strlen(word);

    skip(e);
    if (strncmp(e->p, word, len) != 0 || word_char(e->p[len]))
        return false;
    e->p += len;
    return true;
}

static int expect(struct eval *e, const char *token)
{
    if (take(e, token))
        return 0;
    return errorx_fail(e->error, EINVAL, "'%s' expected at '%s'", token, e->p);
}

/* --- syntax --- */

static int arguments(struct eval *e, struct val *args, int *n)
{
    int rc;

    if (take(e, ")"))
        return 0;
    do {
        if (*n == ARGS_MAX)
            return errorx_fail(e->error, EINVAL, "too many arguments");
        if ((rc = conditional(e, &args[*n])) < 0)
            return rc;
        (*n)++;
    } while (take(e, ","));
    return expect(e, ")");
}

static int take_name(struct eval *e, char *buf, size_t size)
{
    size_t len = 0;

    skip(e);
    while (word_char(e->p[len]))
        len++;
    if (len == 0 || len >= size)
        return errorx_fail(e->error, EINVAL, *e->p ? "not understood: '%s'" : "it ends too early%s",
                           e->p);
    memcpy(buf, e->p, len);
    buf[len] = '\0';
    e->p += len;
    return 0;
}

/* NAME(...) or, with a receiver in *v, .NAME(...) */
static int invoke(struct eval *e, struct val *v, bool receiver)
{
    struct val args[ARGS_MAX + 1] = { 0 };
    int n = receiver, rc;
    char name[32];

    if ((rc = take_name(e, name, sizeof(name))) < 0)
        return rc;
    if (receiver) {
        args[0] = *v;
        *v = (struct val){ 0 };
    }
    if (!take(e, "("))
        rc = errorx_fail(e->error, EINVAL, "there is no name '%s' but x", name);
    else if ((rc = arguments(e, args, &n)) == 0)
        rc = receiver ? val_method(name, args, n, e->error) : val_call(name, args, n, e->error);
    if (rc == 0) {
        *v = args[0];
        args[0] = (struct val){ 0 };
    }
    for (int k = 0; k <= ARGS_MAX; k++)
        val_free(&args[k]);
    return rc;
}

static int number(struct eval *e, struct val *v)
{
    char *end, *real_end;
    double r;
    long long i;

    errno = 0;
    i = strtoll(e->p, &end, 10);
    if (errno == ERANGE)
        return val_overflow(e->error);
    r = strtod(e->p, &real_end);
    if (word_char(*(real_end > end ? real_end : end)))
        return errorx_fail(e->error, EINVAL, "'%s' is not a number", e->p);
    if (real_end > end) {
        e->p = real_end;
        val_set_real(v, r);
    } else {
        e->p = end;
        val_set_int(v, i);
    }
    return 0;
}

static int string(struct eval *e, struct val *v)
{
    char quote = *e->p++;
    const char *end = strchr(e->p, quote);
    char *text;

    if (!end)
        return errorx_fail(e->error, EINVAL, "a string has no end");
    if (memchr(e->p, '\\', (size_t)(end - e->p)))
        return errorx_fail(e->error, EINVAL, "backslashes in strings are not available");
    if (!(text = strndup(e->p, (size_t)(end - e->p))))
        return -ENOMEM;
    e->p = end + 1;
    val_set_text(v, text);
    return 0;
}

static int primary(struct eval *e, struct val *v)
{
    bool truth;
    char *text;
    int rc;

    skip(e);
    if (take(e, "("))
        return (rc = conditional(e, v)) < 0 ? rc : expect(e, ")");
    if (*e->p == '\'' || *e->p == '"')
        return string(e, v);
    if (isdigit((unsigned char)*e->p) || (*e->p == '.' && isdigit((unsigned char)e->p[1])))
        return number(e, v);
    if ((truth = take_word(e, "True")) || take_word(e, "False")) {
        val_set_bool(v, truth);
        return 0;
    }
    if (take_word(e, "x")) {
        if (!(text = strdup(e->x)))
            return -ENOMEM;
        val_set_text(v, text);
        return 0;
    }
    return invoke(e, v, false);
}

/* One bound of a slice: absent is *ret untouched. */
static int bound(struct eval *e, int64_t *ret)
{
    struct val v = { 0 };
    int rc;

    skip(e);
    if (*e->p == ':' || *e->p == ']')
        return 0;
    if ((rc = conditional(e, &v)) == 0 && !val_is_integral(&v))
        rc = errorx_fail(e->error, EINVAL, "an index must be a whole number");
    if (rc == 0)
        *ret = v.i;
    val_free(&v);
    return rc;
}

static int64_t clamp(int64_t i, int64_t len)
{
    if (i < 0)
        i = i < -len ? 0 : i + len;
    return i > len ? len : i;
}

static int subscript(struct eval *e, struct val *v)
{
    int64_t from = INT64_MIN, to = INT64_MAX, len;
    bool slice;
    char *text;
    int rc;

    if (v->kind != KIND_TEXT)
        return val_type_error("an index", e->error);
    len = (int64_t)strlen(v->s);
    if ((rc = bound(e, &from)) < 0)
        return rc;
    slice = take(e, ":");
    if ((slice && (rc = bound(e, &to)) < 0) || (rc = expect(e, "]")) < 0)
        return rc;
    if (!slice && (from < -len || from >= len))
        return errorx_fail(e->error, EDOM, "the index is outside of '%s'", v->s);
    from = clamp(from, len);
    to = slice ? clamp(to, len) : from + 1;
    if (!(text = strndup(v->s + from, (size_t)(to > from ? to - from : 0))))
        return -ENOMEM;
    val_set_text(v, text);
    return 0;
}

static int postfix(struct eval *e, struct val *v)
{
    int rc = primary(e, v);

    while (rc == 0) {
        if (take(e, "["))
            rc = subscript(e, v);
        else if (take(e, "."))
            rc = invoke(e, v, true);
        else
            break;
    }
    return rc;
}

static int power_int(struct eval *e, int64_t base, int64_t exponent, int64_t *ret)
{
    int64_t result = 1;

    if (base == 0 || base == 1 || base == -1)
        exponent = exponent > 1 ? 2 - exponent % 2 : exponent;
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(result, base, &result))
            return val_overflow(e->error);
    }
    *ret = result;
    return 0;
}

static int add(struct eval *e, struct val *a, const struct val *b)
{
    char *text;

    if (a->kind == KIND_TEXT && b->kind == KIND_TEXT) {
        if (asprintf(&text, "%s%s", a->s, b->s) < 0)
            return -ENOMEM;
        val_set_text(a, text);
        return 0;
    }
    return val_type_error("+", e->error);
}

/* text * count, in either order; the result is left in a. */
static int repeat(struct eval *e, struct val *a, const struct val *b)
{
    const struct val *text = a->kind == KIND_TEXT ? a : b, *count = text == a ? b : a;
    size_t len = text->kind == KIND_TEXT ? strlen(text->s) : 0;
    size_t n = count->i > 0 ? (size_t)count->i : 0;
    char *result;

    if (!val_is_integral(count))
        return val_type_error("*", e->error);
    if (len > 0 && n > TEXT_MAX / len)
        return errorx_fail(e->error, EOVERFLOW, "the text would have more than %d bytes", TEXT_MAX);
    if (!(result = malloc(len * n + 1)))
        return -ENOMEM;
    for (size_t i = 0; len > 0 && i < n; i++)
        memcpy(result + i * len, text->s, len);
    result[len * n] = '\0';
    val_set_text(a, result);
    return 0;
}

static int divide_int(struct eval *e, char op, int64_t x, int64_t y, int64_t *ret)
{
    int64_t q, r;

    if (y == 0)
        return errorx_fail(e->error, EDOM, "division by zero");
    if (y == -1 && x == INT64_MIN)
        return val_overflow(e->error);
    q = x / y;
    r = x % y;
    if (r != 0 && (r < 0) != (y < 0)) {
        q--;
        r += y;
    }
    *ret = op == '%' ? r : q;
    return 0;
}

static int apply_int(struct eval *e, char op, struct val *a, const struct val *b)
{
    int64_t r = 0;
    bool bad = false;
    int rc = 0;

    switch (op) {
    case '+':
        bad = __builtin_add_overflow(a->i, b->i, &r);
        break;
    case '-':
        bad = __builtin_sub_overflow(a->i, b->i, &r);
        break;
    case '*':
        bad = __builtin_mul_overflow(a->i, b->i, &r);
        break;
    case '^':
        rc = power_int(e, a->i, b->i, &r);
        break;
    default:
        rc = divide_int(e, op, a->i, b->i, &r);
        break;
    }
    if (bad)
        return val_overflow(e->error);
    if (rc == 0)
        val_set_int(a, r);
    return rc;
}

static int apply_real(struct eval *e, char op, struct val *a, const struct val *b)
{
    double x = val_real(a), y = val_real(b), r;

    if (y == 0 && strchr("/|%", op))
        return errorx_fail(e->error, EDOM, "division by zero");
    switch (op) {
    case '+':
        r = x + y;
        break;
    case '-':
        r = x - y;
        break;
    case '*':
        r = x * y;
        break;
    case '/':
        r = x / y;
        break;
    case '|':
        r = floor(x / y);
        break;
    case '%':
        r = x - y * floor(x / y);
        break;
    default:
        r = pow(x, y);
        break;
    }
    if (!isfinite(r))
        return val_overflow(e->error);
    val_set_real(a, r);
    return 0;
}

/* op: + - * / % and '|' for //, '^' for **. Consumes b. */
static int apply(struct eval *e, char op, struct val *a, struct val *b)
{
    int rc;

    if (a->kind == KIND_TEXT || b->kind == KIND_TEXT)
        rc = op == '+'   ? add(e, a, b)
             : op == '*' ? repeat(e, a, b)
                         : val_type_error("this operation", e->error);
    else if (val_is_integral(a) && val_is_integral(b) && op != '/' && !(op == '^' && b->i < 0))
        rc = apply_int(e, op, a, b);
    else
        rc = apply_real(e, op, a, b);
    val_free(b);
    return rc;
}

static int unary(struct eval *e, struct val *v);

static int power(struct eval *e, struct val *v)
{
    struct val right = { 0 };
    int rc = postfix(e, v);

    if (rc == 0 && take(e, "**")) {
        if ((rc = unary(e, &right)) < 0)
            val_free(&right);
        else
            rc = apply(e, '^', v, &right);
    }
    return rc;
}

static int unary(struct eval *e, struct val *v)
{
    struct val zero = { .kind = KIND_INT };
    int rc;

    if (++e->depth > DEPTH_MAX)
        return errorx_fail(e->error, EINVAL, "too deeply nested");
    if (take(e, "-")) {
        if ((rc = unary(e, v)) == 0 && v->kind == KIND_TEXT)
            rc = val_type_error("-", e->error);
        if (rc == 0 && (rc = apply(e, '-', &zero, v)) == 0)
            *v = zero;
    } else if (take(e, "+")) {
        rc = unary(e, v);
    } else {
        rc = power(e, v);
    }
    e->depth--;
    return rc;
}

static char multiplicative(struct eval *e)
{
    skip(e);
    if (e->p[0] == '*' && e->p[1] == '*')
        return '\0';
    if (take(e, "//"))
        return '|';
    return take(e, "*") ? '*' : take(e, "/") ? '/' : take(e, "%") ? '%' : '\0';
}

static char additive(struct eval *e)
{
    return take(e, "+") ? '+' : take(e, "-") ? '-' : '\0';
}

/* Left-associative operators of one precedence. */
static int binary(struct eval *e, struct val *v, int (*operand)(struct eval *, struct val *),
                  char (*operator)(struct eval *))
{
    int rc = operand(e, v);
    char op;

    while (rc == 0 && (op = operator(e))) {
        struct val right = { 0 };

        if ((rc = operand(e, &right)) < 0)
            val_free(&right);
        else
            rc = apply(e, op, v, &right);
    }
    return rc;
}

static int term(struct eval *e, struct val *v)
{
    return binary(e, v, unary, multiplicative);
}

static int comparison(struct eval *e, struct val *v)
{
    static const struct {
        const char *token;
        bool less, equal, greater;
    } operators[] = {
        { "==", false, true, false }, { "!=", true, false, true }, { "<=", true, true, false },
        { ">=", false, true, true },  { "<", true, false, false }, { ">", false, false, true },
    };
    int rc = binary(e, v, term, additive);

    for (size_t k = 0; rc == 0 && k < ARRAY_SIZE(operators); k++) {
        struct val right = { 0 };
        int c = 0;

        if (!take(e, operators[k].token))
            continue;
        if ((rc = binary(e, &right, term, additive)) == 0 &&
            (rc = val_compare(v, &right, &c, e->error)) == 0)
            val_set_bool(v, c < 0    ? operators[k].less
                            : c == 0 ? operators[k].equal
                                     : operators[k].greater);
        val_free(&right);
        break;
    }
    return rc;
}

static int negation(struct eval *e, struct val *v)
{
    int n = 0, rc;

    while (take_word(e, "not"))
        n++;
    if ((rc = comparison(e, v)) == 0 && n > 0)
        val_set_bool(v, val_is_true(v) == (n % 2 == 0));
    return rc;
}

/* Operands joined by a word; the result is the first whose truth is `decides`, else the last. */
static int chain(struct eval *e, struct val *v, const char *word, bool decides)
{
    int (*operand)(struct eval *, struct val *) = decides ? conjunction : negation;
    int rc = operand(e, v);

    while (rc == 0 && take_word(e, word)) {
        struct val next = { 0 };

        if ((rc = operand(e, &next)) == 0 && val_is_true(v) != decides) {
            val_free(v);
            *v = next;
            next = (struct val){ 0 };
        }
        val_free(&next);
    }
    return rc;
}

static int conjunction(struct eval *e, struct val *v)
{
    return chain(e, v, "and", false);
}

static int disjunction(struct eval *e, struct val *v)
{
    return chain(e, v, "or", true);
}

static int conditional(struct eval *e, struct val *v)
{
    struct val condition = { 0 }, other = { 0 };
    int rc;

    if (++e->depth > DEPTH_MAX)
        return errorx_fail(e->error, EINVAL, "too deeply nested");
    if ((rc = disjunction(e, v)) < 0 || !take_word(e, "if")) {
        e->depth--;
        return rc;
    }
    if ((rc = disjunction(e, &condition)) == 0) {
        if (!take_word(e, "else"))
            rc = errorx_fail(e->error, EINVAL, "'else' expected at '%s'", e->p);
        else if ((rc = conditional(e, &other)) == 0 && !val_is_true(&condition)) {
            val_free(v);
            *v = other;
            other = (struct val){ 0 };
        }
    }
    val_free(&condition);
    val_free(&other);
    e->depth--;
    return rc;
}

int expression_eval(const char *code, const char *x, char **ret, flux_error_t *error)
{
    struct eval e = { .p = code, .x = x, .error = error };
    struct val v = { 0 };
    int rc = conditional(&e, &v);

    skip(&e);
    if (rc == 0 && *e.p)
        rc = errorx_fail(error, EINVAL, "not understood: '%s'", e.p);
    if (rc == 0 && !(*ret = val_text(&v)))
        rc = -ENOMEM;
    val_free(&v);
    return rc;
}
