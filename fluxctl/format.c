/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output formats. Widths and precisions count characters, not bytes; values are expected to be
 * UTF-8. Refuses unknown conversions, malformed specs and unbalanced braces when the format is
 * parsed, so that printing cannot fail. */
#include "format.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "real-text.h"
#include "plain-text.h"

#define WIDTH_MAX  4096
#define TIME_LIMIT 253402300800. /* the year 10000 */
#define TEXT_MAX   512           /* of a number or a time */

struct spec {
    char fill;
    char align; /* 0: that of the type */
    char sign;
    bool zero; /* numbers are filled with zeros, by default after their sign */
    int width;
    int precision; /* -1: none */
    char type;     /* 0: that of the value */
    bool hyphen;
};

struct piece {
    char *literal; /* before the field */
    char *field;   /* NULL: the format ends after the literal */
    char conversion;
    char *time_format; /* with conversion d: what follows the colon */
    struct spec spec;
};

struct format {
    struct piece *pieces;
    size_t count;
};

DEFINE_CLEANUP(struct format *, format_free)

struct format *format_free(struct format *f)
{
    for (size_t i = 0; f && i < f->count; i++) {
        free(f->pieces[i].literal);
        free(f->pieces[i].field);
        free(f->pieces[i].time_format);
    }
    if (f)
        free(f->pieces);
    free(f);
    return NULL;
}

/* --- parsing --- */

static int parse_int(const char **s, int *ret)
{
    int n = 0;

    for (; isdigit((unsigned char)**s); (*s)++) {
        n = n * 10 + (**s - '0');
        if (n > WIDTH_MAX)
            return -EINVAL;
    }
    *ret = n;
    return 0;
}

/* The part after the colon: all of s. */
static int parse_spec(const char *s, struct spec *ret)
{
    struct spec spec = { .fill = ' ', .precision = -1 };
    size_t len = strlen(s);
    bool filled = false;

    spec.hyphen = len > 0 && s[len - 1] == 'h';
    if (s[0] && s[1] && strchr("<>^=", s[1])) {
        spec.fill = *s++;
        spec.align = *s++;
        filled = true;
    } else if (s[0] && strchr("<>^=", s[0])) {
        spec.align = *s++;
    }
    if (*s && strchr("+- ", *s))
        spec.sign = *s++;
    if (*s == '0') {
        spec.zero = !filled;
        s++;
    }
    if (parse_int(&s, &spec.width) < 0)
        return -EINVAL;
    if (*s == '.') {
        s++;
        if (!isdigit((unsigned char)*s) || parse_int(&s, &spec.precision) < 0)
            return -EINVAL;
    }
    if (*s && strchr("sdxfeg", *s))
        spec.type = *s++;
    if (spec.hyphen)
        s++;
    if (*s)
        return -EINVAL;
    *ret = spec;
    return 0;
}

/* The inside of a pair of braces. */
static int parse_field(struct piece *p, char *text, flux_error_t *error)
{
    char *colon = strchr(text, ':');
    char *bang;

    if (colon)
        *colon++ = '\0';
    if ((bang = strchr(text, '!'))) {
        *bang++ = '\0';
        if (!bang[0] || bang[1] || !strchr("DdFHs", bang[0]))
            return errorx_fail(error, EINVAL, "{%s}: unknown conversion '!%s'", text, bang);
        p->conversion = bang[0];
    }
    if (!text[0])
        return errorx_fail(error, EINVAL, "a field has no name");
    if (!(p->field = strdup(text)))
        return -ENOMEM;
    if (p->conversion == 'd')
        return (p->time_format = strdup(colon && *colon ? colon : "%Y-%m-%d %H:%M:%S")) ? 0
                                                                                        : -ENOMEM;
    if (parse_spec(colon ? colon : "", &p->spec) < 0)
        return errorx_fail(error, EINVAL, "{%s}: malformed format '%s'", text, colon);
    return 0;
}

/* Text up to the next field or the end; doubled braces stand for one. */
static int parse_literal(const char **s, char **ret, flux_error_t *error)
{
    char *text = malloc(strlen(*s) + 1);
    size_t len = 0;
    const char *p = *s;

    if (!text)
        return -ENOMEM;
    *ret = text;
    for (; *p; p++) {
        if (*p == '{' && p[1] != '{')
            break;
        if (*p == '}' && p[1] != '}')
            return errorx_fail(error, EINVAL, "a '}' has no '{' before it");
        if (*p == '{' || *p == '}')
            p++;
        text[len++] = *p;
    }
    text[len] = '\0';
    *s = p;
    return 0;
}

static int parse_piece(struct format *f, const char **s, flux_error_t *error)
{
    struct piece *pieces = realloc(f->pieces, (f->count + 1) * sizeof(*pieces));
    CLEANUP(freep) char *inside = NULL;
    struct piece *p;
    const char *end;
    int rc;

    if (!pieces)
        return -ENOMEM;
    f->pieces = pieces;
    p = &pieces[f->count++];
    *p = (struct piece){ .spec = { .fill = ' ', .precision = -1 } };
    if ((rc = parse_literal(s, &p->literal, error)) < 0 || !**s)
        return rc;
    if (!(end = strchr(*s, '}')))
        return errorx_fail(error, EINVAL, "a '{' has no '}' after it");
    if (!(inside = strndup(*s + 1, (size_t)(end - *s - 1))))
        return -ENOMEM;
    *s = end + 1;
    return parse_field(p, inside, error);
}

int format_parse(const char *s, struct format **ret, flux_error_t *error)
{
    CLEANUP(format_freep) struct format *f = calloc(1, sizeof(*f));
    int rc = 0;

    if (!f)
        return -ENOMEM;
    while (*s) {
        if ((rc = parse_piece(f, &s, error)) < 0)
            return rc;
    }
    *ret = TAKE(f);
    return 0;
}

static const struct piece *nth_field(const struct format *f, size_t n)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->pieces[i].field && n-- == 0)
            return &f->pieces[i];
    }
    return NULL;
}

size_t format_nfields(const struct format *f)
{
    size_t n = 0;

    while (nth_field(f, n))
        n++;
    return n;
}

const char *format_field(const struct format *f, size_t i)
{
    const struct piece *p = nth_field(f, i);

    return p ? p->field : NULL;
}

/* --- values to text --- */

void format_duration(char *buf, size_t size, double seconds)
{
    if (seconds < 0.001)
        snprintf(buf, size, "0s");
    else if (seconds < 10)
        snprintf(buf, size, "%.3fs", seconds);
    else if (seconds < 60)
        snprintf(buf, size, "%.4gs", seconds);
    else if (seconds < 3600)
        snprintf(buf, size, "%.4gm", seconds / 60);
    else if (seconds < 86400)
        snprintf(buf, size, "%.4gh", seconds / 3600);
    else
        snprintf(buf, size, "%.4gd", seconds / 86400);
}

/* Nothing after the year 9999 is a time, nothing longer a duration that hours can tell. */
static double bounded(double x)
{
    return fmin(fmax(x, -TIME_LIMIT), TIME_LIMIT - 1);
}

static double number_of(const struct value *v)
{
    return v->type == VALUE_INTEGER ? (double)v->integer : v->real;
}

static void format_time(char *buf, size_t size, const char *fmt, double t)
{
    time_t seconds = (time_t)bounded(t);
    struct tm tm;

    if (!localtime_r(&seconds, &tm) || strftime(buf, size, fmt, &tm) == 0)
        buf[0] = '\0';
}

/* What a conversion makes of a number. Absent values give nothing, or the epoch for d. */
static void convert(char *buf, size_t size, const struct piece *p, const struct value *v)
{
    double x = number_of(v);

    buf[0] = '\0';
    if (p->conversion == 'd') {
        format_time(buf, size, p->time_format, v->type == VALUE_ABSENT ? 0 : x);
        return;
    }
    if (v->type == VALUE_ABSENT || v->type == VALUE_TEXT)
        return;
    if (p->conversion == 'D' && x > 0)
        format_time(buf, size, "%Y-%m-%dT%H:%M:%S", x);
    else if (p->conversion == 'F')
        format_duration(buf, size, x);
    else if (p->conversion == 'H') {
        long long s = llround(bounded(x));

        if (s >= 86400)
            snprintf(buf, size, "%lld day%s, %lld:%02lld:%02lld", s / 86400,
                     s >= 2 * 86400 ? "s" : "", s % 86400 / 3600, s % 3600 / 60, s % 60);
        else
            snprintf(buf, size, "%lld:%02lld:%02lld", s / 3600, s % 3600 / 60, s % 60);
    }
}

/* Text of a number that is not negative. */
static void magnitude_text(char *buf, size_t size, const struct spec *spec, const struct value *v)
{
    double x = fabs(number_of(v));
    char fmt[8];

    if (spec->type && strchr("feg", spec->type)) {
        snprintf(fmt, sizeof(fmt), "%%.*%c", spec->type);
        snprintf(buf, size, fmt, spec->precision < 0 ? 6 : spec->precision, x);
    } else if (v->type == VALUE_REAL && spec->precision >= 0) {
        snprintf(buf, size, "%.*g", spec->precision, x);
    } else if (v->type == VALUE_REAL) {
        real_text(buf, x);
    } else {
        uint64_t n = v->integer < 0 ? -(uint64_t)v->integer : (uint64_t)v->integer;

        snprintf(buf, size, spec->type == 'x' ? "%" PRIx64 : "%" PRIu64, n);
    }
}

static void number_text(char *buf, size_t size, const struct spec *spec, const struct value *v)
{
    bool negative = v->type == VALUE_INTEGER ? v->integer < 0 : signbit(v->real);

    if (negative || spec->sign == '+' || spec->sign == ' ') {
        *buf++ = negative ? '-' : spec->sign;
        size--;
    }
    magnitude_text(buf, size, spec, v);
}

static const char *value_text(char *buf, size_t size, const struct piece *p, const struct value *v)
{
    if (p->conversion && p->conversion != 's') {
        convert(buf, size, p, v);
        return buf;
    }
    if (v->type == VALUE_ABSENT)
        return "";
    if (v->type == VALUE_TEXT)
        return v->text ? v->text : "";
    number_text(buf, size, &p->spec, v);
    return buf;
}

/* --- padding --- */

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t character_count(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += !continues(*s);
    return n;
}

/* Bytes of the first n characters. */
static size_t prefix_size(const char *s, size_t n)
{
    size_t i = 0;

    while (s[i] && (n > 0 || continues(s[i])))
        n -= !continues(s[i++]);
    return i;
}

static void put_fill(FILE *file, char c, size_t n)
{
    while (n-- > 0)
        fputc(c, file);
}

static void put_padded(FILE *file, const struct spec *spec, const char *s, bool number)
{
    size_t size = strlen(s);
    size_t count = character_count(s);
    char fill = number && spec->zero ? '0' : spec->fill;
    char align = spec->align;
    size_t pad, left;

    if (!align || (align == '=' && !number))
        align = !number ? '<' : (spec->zero ? '=' : '>');
    if (!number && spec->precision >= 0 && count > (size_t)spec->precision) {
        count = (size_t)spec->precision;
        size = prefix_size(s, count);
    }
    pad = (size_t)spec->width > count ? (size_t)spec->width - count : 0;
    left = align == '>' || align == '=' ? pad : (align == '^' ? pad / 2 : 0);
    if (align == '=' && strchr("+- ", s[0]) && size > 0) {
        fputc(*s++, file);
        size--;
    }
    put_fill(file, fill, left);
    plain_write(file, s, size);
    put_fill(file, fill, pad - left);
}

static bool is_nothing(const char *s)
{
    return !s[0] || strcmp(s, "0s") == 0 || strcmp(s, "0.0") == 0 || strcmp(s, "0:00:00") == 0 ||
           strcmp(s, "1970-01-01T00:00:00") == 0;
}

static void print_field(const struct piece *p, struct value v, FILE *file)
{
    bool number =
        !p->conversion && (v.type == VALUE_INTEGER || v.type == VALUE_REAL) && p->spec.type != 's';
    char buf[TEXT_MAX];
    const char *s = value_text(buf, sizeof(buf), p, &v);

    if (p->conversion == 'd') {
        plain_puts(file, s);
        return;
    }
    if (p->spec.hyphen && is_nothing(s)) {
        struct spec spec = p->spec; /* stands where the number would, but is none */

        spec.zero = false;
        spec.align = number && (!spec.align || spec.align == '=') ? '>' : spec.align;
        put_padded(file, &spec, "-", false);
        return;
    }
    put_padded(file, &p->spec, s, number);
}

void format_print(const struct format *f, const struct format_source *source, FILE *file)
{
    for (size_t i = 0; i < f->count; i++) {
        fputs(f->pieces[i].literal, file);
        if (f->pieces[i].field)
            print_field(&f->pieces[i], source->get(f->pieces[i].field, source->arg), file);
    }
}

/* Headings are text: those of numbers keep the alignment of numbers. */
void format_print_heading(const struct format *f, const struct format_source *source, FILE *file)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct piece *p = &f->pieces[i];
        struct spec spec = p->spec;

        fputs(p->literal, file);
        if (!p->field)
            continue;
        if (spec.type && spec.type != 's')
            spec.precision = -1;
        if (spec.align == '=' || (spec.type && spec.type != 's' && !spec.align))
            spec.align = '>';
        put_padded(file, &spec, source->heading(p->field), false);
    }
    fputc('\n', file);
}
