/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Replacement in words of bulksubmit. Refuses what it does not know instead of leaving it: a job
 * that was not meant is worse than none. "{}" takes the lists in turn, as Python's format() does.
 */
#include "bulk-template.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "expression.h"

/* Where the name without its extension ends: that of os.path.splitext(). */
static size_t stem_length(const char *s)
{
    const char *slash = strrchr(s, '/');
    const char *base = slash ? slash + 1 : s;
    const char *dot = strrchr(base, '.');

    while (*base == '.')
        base++;
    return dot && dot > base ? (size_t)(dot - s) : strlen(s);
}

static const char *basename_of(const char *s)
{
    const char *slash = strrchr(s, '/');

    return slash ? slash + 1 : s;
}

static size_t dirname_length(const char *s)
{
    size_t len = (size_t)(basename_of(s) - s);

    while (len > 1 && s[len - 1] == '/')
        len--;
    return len;
}

static int put_defined(FILE *f, const char *attr, size_t len, const char *x,
                       const struct bulk_context *ctx, flux_error_t *error)
{
    for (size_t i = 0; i < ctx->ndefines; i++) {
        const struct bulk_define *d = &ctx->defines[i];
        CLEANUP(freep) char *text = NULL;
        flux_error_t why = { "out of memory" };
        int rc;

        if (d->name_len != len || strncmp(d->name, attr, len) != 0)
            continue;
        if ((rc = expression_eval(d->code, x, &text, &why)) < 0)
            return errorx_fail(error, -rc, "%.*s=%s with x='%s': %s", (int)len, attr, d->code, x,
                               why.text);
        fputs(text, f);
        return 0;
    }
    return errorx_fail(error, EINVAL,
                       "there is no attribute '.%.*s'; there are .%% ./ ./%% .// and those of "
                       "--define",
                       (int)len, attr);
}

/* What comes after the period. */
static int put_attribute(FILE *f, const char *attr, size_t len, const char *x,
                         const struct bulk_context *ctx, flux_error_t *error)
{
    const char *base = basename_of(x);

    if (len == 1 && attr[0] == '%')
        fprintf(f, "%.*s", (int)stem_length(x), x);
    else if (len == 1 && attr[0] == '/')
        fputs(base, f);
    else if (len == 2 && strncmp(attr, "/%", 2) == 0)
        fprintf(f, "%.*s", (int)stem_length(base), base);
    else if (len == 2 && strncmp(attr, "//", 2) == 0)
        fprintf(f, "%.*s", (int)dirname_length(x), x);
    else
        return put_defined(f, attr, len, x, ctx, error);
    return 0;
}

static int put_field(FILE *f, const char *field, size_t len, const struct bulk_context *ctx,
                     size_t *next, flux_error_t *error)
{
    size_t digits = 0, index = 0;

    if (len == 3 && strncmp(field, "seq", 3) == 0)
        return fprintf(f, "%zu", ctx->seq) < 0 ? -ENOMEM : 0;
    if (len == 4 && strncmp(field, "seq1", 4) == 0)
        return fprintf(f, "%zu", ctx->seq + 1) < 0 ? -ENOMEM : 0;
    if (len == 2 && strncmp(field, "cc", 2) == 0)
        return fputs("{cc}", f) < 0 ? -ENOMEM : 0;
    while (digits < len && digits < 6 && isdigit((unsigned char)field[digits]))
        index = index * 10 + (size_t)(field[digits++] - '0');
    if (digits == 0)
        index = len == 0 ? (*next)++ : 0;
    if (digits < len && field[digits] != '.')
        return errorx_fail(error, EINVAL, "{%.*s} is not understood", (int)len, field);
    if (index >= ctx->nwords)
        return errorx_fail(error, EINVAL, "{%.*s}: the number of input lists is %zu", (int)len,
                           field, ctx->nwords);
    if (digits == len)
        return fputs(ctx->words[index], f) < 0 ? -ENOMEM : 0;
    return put_attribute(f, field + digits + 1, len - digits - 1, ctx->words[index], ctx, error);
}

static int substitute(FILE *f, const char *s, const struct bulk_context *ctx, flux_error_t *error)
{
    size_t next = 0;
    int rc = 0;

    while (rc == 0 && *s) {
        size_t len = strcspn(s, "{");
        const char *close;

        fwrite(s, 1, len, f);
        s += len;
        if (!*s)
            break;
        if (s[1] == '{' && (close = strstr(s, "}}"))) {
            fwrite(s, 1, (size_t)(close + 2 - s), f);
            s = close + 2;
        } else if ((close = strchr(s, '}'))) {
            rc = put_field(f, s + 1, (size_t)(close - s - 1), ctx, &next, error);
            s = close + 1;
        } else {
            rc = errorx_fail(error, EINVAL, "'%s': a '{' has no '}' after it", s);
        }
    }
    return rc;
}

int bulk_substitute(const char *s, const struct bulk_context *ctx, char **ret, flux_error_t *error)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int rc;

    if (!f)
        return -ENOMEM;
    rc = substitute(f, s, ctx, error);
    if (fclose(f) != 0 && rc == 0)
        rc = -ENOMEM;
    if (rc < 0)
        free(text);
    else
        *ret = text;
    return rc;
}
