/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Certificates as files. Refuses to read what others could have put there, what is not a regular
 * file, and a secret that others can read. */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cert.h"
#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/fdwrite.h"

struct buffer {
    char text[CERT_FILE_MAX + 1];
    size_t len;
};

static void buffer_wipe(struct buffer *b)
{
    sodium_memzero(b, sizeof(*b));
}

/* --- reading */

static int check_file(int fd, const char *path, struct stat *st, flux_error_t *error)
{
    if (fstat(fd, st) < 0)
        return errorx_fail(error, errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st->st_mode))
        return errorx_fail(error, EINVAL, "%s: not a regular file", path);
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return errorx_fail(error, EPERM,
                           "%s: belongs to uid %u; expected the user of this process or root", path,
                           st->st_uid);
    if (st->st_mode & 022)
        return errorx_fail(error, EPERM, "%s: others may write to it (chmod go-w)", path);
    if (st->st_size > CERT_FILE_MAX)
        return errorx_fail(error, EFBIG, "%s: larger than %d bytes, so not a certificate", path,
                           CERT_FILE_MAX);
    return 0;
}

static int read_file(int fd, struct buffer *b)
{
    ssize_t n;

    do {
        n = read(fd, b->text + b->len, sizeof(b->text) - b->len);
        if (n > 0)
            b->len += (size_t)n;
    } while ((n > 0 && b->len < sizeof(b->text)) || (n < 0 && errno == EINTR));
    if (n < 0)
        return -errno;
    return b->len > CERT_FILE_MAX ? -EFBIG : 0;
}

static int check_cert(const struct cert *c, const char *path, bool want_secret, mode_t mode,
                      flux_error_t *error)
{
    if (c->secret_key[0] && (mode & 077))
        return errorx_fail(error, EPERM, "%s: others may read the secret key (chmod 0400)", path);
    if (want_secret && !c->secret_key[0])
        return errorx_fail(error, EINVAL,
                           "%s: there is no secret-key in it; this is the public part of a "
                           "certificate",
                           path);
    return 0;
}

int cert_load(const char *path, bool want_secret, struct cert *ret, flux_error_t *error)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    CLEANUP(buffer_wipe) struct buffer b = { .len = 0 };
    CLEANUP(cert_deinit) struct cert c = { .name = "" };
    flux_error_t why = { .text = "" };
    struct stat st;
    int rc;

    if (fd < 0)
        return errorx_fail(error, errno, "%s: %s", path, strerror(errno));
    rc = check_file(fd, path, &st, error);
    if (rc < 0)
        return rc;
    rc = read_file(fd, &b);
    if (rc < 0)
        return errorx_fail(error, -rc, "%s: %s", path, strerror(-rc));
    rc = cert_parse(b.text, b.len, &c, &why);
    if (rc < 0)
        return errorx_fail(error, -rc, "%s: %s", path, why.text);
    rc = check_cert(&c, path, want_secret, st.st_mode, error);
    if (rc < 0)
        return rc;
    if (!want_secret)
        sodium_memzero(c.secret_key, sizeof(c.secret_key));
    *ret = c;
    return 0;
}

/* --- writing */

static int format(struct buffer *b, const struct cert *c, bool with_secret, const char *const *meta)
{
    FILE *f = fmemopen(b->text, sizeof(b->text), "w");
    bool failed;

    if (!f)
        return -errno;
    (void)setvbuf(f, NULL, _IONBF, 0); /* no copy of the secret in another buffer */
    fprintf(f, "# CURVE certificate of Flux, %s\n",
            with_secret ? "with its secret key: keep it closed" : "public part");
    fputs("metadata\n", f);
    if (c->name[0])
        fprintf(f, "    name = \"%s\"\n", c->name);
    for (size_t i = 0; meta && meta[i]; i += 2)
        fprintf(f, "    %s = \"%s\"\n", meta[i], meta[i + 1]);
    fprintf(f, "curve\n    public-key = \"%s\"\n", c->public_key);
    if (with_secret)
        fprintf(f, "    secret-key = \"%s\"\n", c->secret_key);
    failed = ferror(f);
    if (!failed)
        b->len = (size_t)ftell(f);
    failed = fclose(f) != 0 || failed || b->len > CERT_FILE_MAX;
    return failed ? -EFBIG : 0;
}

static int replace(const char *path, const struct buffer *b, mode_t mode)
{
    CLEANUP(freep) char *tmp = NULL;
    CLEANUP(closep) int fd = -EBADF;
    int rc;

    if (asprintf(&tmp, "%s.XXXXXX", path) < 0) {
        tmp = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return -errno;
    rc = fd_write_all(fd, b->text, b->len);
    if (rc == 0 && (fsync(fd) < 0 || fchmod(fd, mode) < 0 || rename(tmp, path) < 0))
        rc = -errno;
    if (rc < 0)
        (void)unlink(tmp);
    return rc;
}

int cert_write(const char *path, const struct cert *c, bool with_secret, const char *const *meta,
               flux_error_t *error)
{
    CLEANUP(buffer_wipe) struct buffer b = { .len = 0 };
    int rc = format(&b, c, with_secret, meta);

    if (rc == -EFBIG)
        return errorx_fail(error, EFBIG, "%s: the metadata is too long for a certificate", path);
    if (rc == 0)
        rc = replace(path, &b, with_secret ? 0400 : 0444);
    return rc < 0 ? errorx_fail(error, -rc, "%s: %s", path, strerror(-rc)) : 0;
}
