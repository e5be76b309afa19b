/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Certificates in memory: making and parsing. Of ZPL this is what certificates need: sections at
 * the margin, "key = value" below them, deeper lines only in the metadata, where they are skipped.
 * Refused: tabs and other control characters, another section, keys outside of one or given twice,
 * a value without its closing quote, keys that are not 40 characters of Z85. */
#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "base/cert.h"
#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/z85.h"

enum section { SECTION_NONE, SECTION_METADATA, SECTION_CURVE };

struct parser {
    struct cert *cert;
    enum section section;
    unsigned int line;
    flux_error_t *error;
};

struct text {
    const char *s;
    size_t len;
};

void cert_deinit(struct cert *c)
{
    sodium_memzero(c, sizeof(*c));
}

int cert_generate(struct cert *ret)
{
    uint8_t pk[crypto_box_PUBLICKEYBYTES], sk[crypto_box_SECRETKEYBYTES];

    if (sodium_init() < 0 || crypto_box_keypair(pk, sk) < 0)
        return -EIO;
    *ret = (struct cert){ 0 };
    z85_encode(pk, sizeof(pk), ret->public_key);
    z85_encode(sk, sizeof(sk), ret->secret_key);
    sodium_memzero(sk, sizeof(sk));
    return 0;
}

/* --- metadata */

bool cert_meta_name_is_valid(const char *s)
{
    if (!*s || strlen(s) >= CERT_NAME_SIZE)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("$-_@.&+/", *s))
            return false;
    return true;
}

bool cert_meta_value_is_valid(const char *s)
{
    if (strlen(s) >= CERT_NAME_SIZE)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '"')
            return false;
    return true;
}

/* --- parsing */

static bool is(struct text t, const char *word)
{
    return t.len == strlen(word) && memcmp(t.s, word, t.len) == 0;
}

static struct text trim(struct text t)
{
    while (t.len > 0 && t.s[0] == ' ') {
        t.s++;
        t.len--;
    }
    while (t.len > 0 && t.s[t.len - 1] == ' ')
        t.len--;
    return t;
}

static int complain(const struct parser *p, const char *what)
{
    return errorx_fail(p->error, EINVAL, "line %u: %s", p->line, what);
}

/* The value after the "=": in quotes, or up to a comment. */
static int get_value(const struct parser *p, struct text t, struct text *ret)
{
    const char *end;

    t = trim(t);
    if (t.len == 0 || (t.s[0] != '"' && t.s[0] != '\'')) {
        end = memchr(t.s, '#', t.len);
        if (end)
            t.len = (size_t)(end - t.s);
        *ret = trim(t);
        return 0;
    }
    end = memchr(t.s + 1, t.s[0], t.len - 1);
    if (!end)
        return complain(p, "the closing quote is missing");
    *ret = (struct text){ .s = t.s + 1, .len = (size_t)(end - t.s) - 1 };
    t = trim((struct text){ .s = end + 1, .len = t.len - (size_t)(end + 1 - t.s) });
    return t.len == 0 || t.s[0] == '#' ? 0 : complain(p, "there is more after the closing quote");
}

static int store_key(const struct parser *p, struct text value, char key[CERT_KEY_SIZE])
{
    uint8_t bytes[crypto_box_PUBLICKEYBYTES];
    int rc = 0;

    if (key[0])
        return complain(p, "this key was given before");
    if (value.len != CERT_KEY_SIZE - 1 || z85_decode(value.s, value.len, bytes) < 0)
        rc = complain(p, "a key is 40 characters of Z85");
    else
        memcpy(key, value.s, value.len);
    sodium_memzero(bytes, sizeof(bytes));
    return rc;
}

static int store(const struct parser *p, struct text key, struct text value)
{
    if (p->section == SECTION_CURVE && is(key, "public-key"))
        return store_key(p, value, p->cert->public_key);
    if (p->section == SECTION_CURVE && is(key, "secret-key"))
        return store_key(p, value, p->cert->secret_key);
    if (p->section == SECTION_CURVE)
        return complain(p, "expected public-key or secret-key");
    if (!is(key, "name"))
        return 0;
    if (value.len >= CERT_NAME_SIZE)
        return complain(p, "this name is too long");
    memcpy(p->cert->name, value.s, value.len);
    p->cert->name[value.len] = '\0';
    return 0;
}

static int parse_entry(const struct parser *p, struct text t, size_t indent)
{
    const char *eq = memchr(t.s, '=', t.len);
    struct text value = { 0 };
    int rc;

    if (p->section == SECTION_NONE)
        return complain(p, "expected curve or metadata, at the margin");
    if (indent != 4)
        return p->section == SECTION_METADATA && indent > 4
                   ? 0
                   : complain(p, "expected four spaces before a key");
    if (!eq)
        return p->section == SECTION_METADATA ? 0 : complain(p, "expected KEY = \"VALUE\"");
    rc = get_value(p, (struct text){ .s = eq + 1, .len = t.len - (size_t)(eq + 1 - t.s) }, &value);
    return rc < 0 ? rc
                  : store(p, trim((struct text){ .s = t.s, .len = (size_t)(eq - t.s) }), value);
}

static int parse_section(struct parser *p, struct text t)
{
    const char *comment = memchr(t.s, '#', t.len);

    if (comment)
        t.len = (size_t)(comment - t.s);
    t = trim(t);
    if (is(t, "curve"))
        p->section = SECTION_CURVE;
    else if (is(t, "metadata"))
        p->section = SECTION_METADATA;
    else
        return complain(p, "expected curve or metadata, at the margin");
    return 0;
}

static int parse_line(struct parser *p, struct text t)
{
    size_t indent = 0;

    if (t.len > 0 && t.s[t.len - 1] == '\r')
        t.len--;
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.s[i] < ' ' || t.s[i] == 0x7f)
            return complain(p, "there is a control character, such as a tab; indent with spaces");
    while (indent < t.len && t.s[indent] == ' ')
        indent++;
    t.s += indent;
    t.len -= indent;
    if (t.len == 0 || t.s[0] == '#')
        return 0;
    return indent == 0 ? parse_section(p, t) : parse_entry(p, t, indent);
}

static bool is_pair(const struct cert *c)
{
    uint8_t pk[crypto_box_PUBLICKEYBYTES], sk[crypto_box_SECRETKEYBYTES];
    uint8_t derived[crypto_box_PUBLICKEYBYTES];
    bool same;

    (void)z85_decode(c->public_key, CERT_KEY_SIZE - 1, pk);
    (void)z85_decode(c->secret_key, CERT_KEY_SIZE - 1, sk);
    same = crypto_scalarmult_base(derived, sk) == 0 && memcmp(pk, derived, sizeof(pk)) == 0;
    sodium_memzero(sk, sizeof(sk));
    return same;
}

static int parse(const char *text, size_t len, struct cert *ret, flux_error_t *error)
{
    struct parser p = { .cert = ret, .error = error };
    int rc = 0;

    while (len > 0 && rc == 0) {
        const char *end = memchr(text, '\n', len);
        const size_t n = end ? (size_t)(end - text) : len;

        p.line++;
        rc = parse_line(&p, (struct text){ .s = text, .len = n });
        text += n + (end ? 1 : 0);
        len -= n + (end ? 1 : 0);
    }
    if (rc == 0 && !ret->public_key[0])
        rc = errorx_fail(error, EINVAL, "there is no public-key in it");
    if (rc == 0 && ret->secret_key[0] && !is_pair(ret))
        rc = errorx_fail(error, EINVAL, "its public-key does not belong to its secret-key");
    return rc;
}

int cert_parse(const char *text, size_t len, struct cert *ret, flux_error_t *error)
{
    struct cert c = { 0 };
    const int rc = parse(text, len, &c, error);

    if (rc == 0)
        *ret = c;
    cert_deinit(&c);
    return rc;
}
