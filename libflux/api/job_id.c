/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Job ids as text (RFC 19) and where a job lives in the KVS (RFC 16). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flux/job.h>

#include "base/cleanup.h"
#include "base/fluid.h"

static const struct {
    const char *name;
    enum fluid_style style;
} styles[] = {
    { "dec", FLUID_DEC },
    { "hex", FLUID_HEX },
    { "dothex", FLUID_DOTHEX },
    { "kvs", FLUID_DOTHEX },
    { "words", FLUID_MNEMONIC },
    { "f58", FLUID_F58 },
    { "f58plain", FLUID_F58_PLAIN },
};

static int check(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

/* The key in the KVS is a spelling too: "job." and the one with periods. */
int flux_job_id_parse(const char *s, flux_jobid_t *id)
{
    if (s && strncmp(s, "job.", 4) == 0 && strchr(s + 4, '.'))
        s += 4;
    return check(s && id ? fluid_parse(s, id) : -EINVAL);
}

/* Whether people read UTF-8 here. The environment is asked, not the C library's locale: programs
 * that never call setlocale(3) should print the same id as those that do. */
static bool is_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

    if (getenv("FLUX_F58_FORCE_ASCII"))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

int flux_job_id_encode(flux_jobid_t id, const char *type, char *buf, size_t bufsz)
{
    if (!buf)
        return check(-EINVAL);
    if (!type)
        type = "dec";
    if (strcmp(type, "kvs") == 0)
        return flux_job_kvs_key(buf, bufsz > INT32_MAX ? INT32_MAX : (int)bufsz, id, NULL) < 0 ? -1
                                                                                               : 0;
    for (size_t i = 0; i < ARRAY_SIZE(styles); i++) {
        enum fluid_style style = styles[i].style;

        if (strcmp(type, styles[i].name) != 0)
            continue;
        if (style == FLUID_F58 && !is_utf8())
            style = FLUID_F58_PLAIN;
        return check(fluid_encode(buf, bufsz, id, style));
    }
    return check(-EINVAL);
}

static int fits(int n, int bufsz)
{
    return n < bufsz ? n : check(-EOVERFLOW);
}

int flux_job_kvs_key(char *buf, int bufsz, flux_jobid_t id, const char *key)
{
    char dothex[32];
    int rc = buf && bufsz > 0 ? fluid_encode(dothex, sizeof(dothex), id, FLUID_DOTHEX) : -EINVAL;

    if (rc < 0)
        return check(rc);
    return fits(snprintf(buf, bufsz, "job.%s%s%s", dothex, key ? "." : "", key ? key : ""), bufsz);
}

int flux_job_kvs_namespace(char *buf, int bufsz, flux_jobid_t id)
{
    if (!buf || bufsz <= 0)
        return check(-EINVAL);
    return fits(snprintf(buf, bufsz, "job-%" PRIu64, id), bufsz);
}
