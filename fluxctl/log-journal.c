/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading the journal through libsystemd, loaded at run time so that other commands do not pay for
 * it. */
#include "log-journal.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/number.h"

static struct {
    typeof(&sd_journal_open) open;
    typeof(&sd_journal_close) close;
    typeof(&sd_journal_add_match) add_match;
    typeof(&sd_journal_next) next;
    typeof(&sd_journal_wait) wait;
    typeof(&sd_journal_get_data) get_data;
    typeof(&sd_journal_get_realtime_usec) get_realtime_usec;
    typeof(&sd_id128_get_boot) get_boot;
} sd;

static int load(void)
{
    void *lib = dlopen("libsystemd.so.0", RTLD_LAZY | RTLD_LOCAL);

    if (!lib)
        return -ENOSYS;
#define LOAD(member, name)                   \
    do {                                     \
        if (!(sd.member = dlsym(lib, name))) \
            return -ENOSYS;                  \
    } while (0)
    LOAD(open, "sd_journal_open");
    LOAD(close, "sd_journal_close");
    LOAD(add_match, "sd_journal_add_match");
    LOAD(next, "sd_journal_next");
    LOAD(wait, "sd_journal_wait");
    LOAD(get_data, "sd_journal_get_data");
    LOAD(get_realtime_usec, "sd_journal_get_realtime_usec");
    LOAD(get_boot, "sd_id128_get_boot");
#undef LOAD
    return 0;
}

/* The value of a field of the current record; malloc'd, NULL if absent. */
static char *get_field(sd_journal *j, const char *name)
{
    const void *data;
    size_t size, skip = strlen(name) + 1;

    if (sd.get_data(j, name, &data, &size) < 0 || size < skip)
        return NULL;
    return strndup((const char *)data + skip, size - skip);
}

static void copy_field(sd_journal *j, const char *name, char *buf, size_t size,
                       const char *fallback)
{
    CLEANUP(freep) char *s = get_field(j, name);

    snprintf(buf, size, "%s", s ? s : fallback);
}

static void deliver(sd_journal *j, log_record_f cb, void *arg)
{
    struct log_record r = { .level = 6 };
    char level[8], service[sizeof(r.service) + 5];

    if (sd.get_realtime_usec(j, &r.usec) < 0 || !(r.message = get_field(j, "MESSAGE")))
        return;
    copy_field(j, "PRIORITY", level, sizeof(level), "6");
    (void)number_parse_int(level, 0, 7, &r.level);
    copy_field(j, "FLUX_RANK", r.rank, sizeof(r.rank), "?");
    copy_field(j, "FLUX_SERVICE", r.service, sizeof(r.service), "flux");
    copy_field(j, "SYSLOG_IDENTIFIER", service, sizeof(service), r.service); /* logger --appname */
    log_record_name_service(&r, service);
    cb(&r, arg);
    log_record_deinit(&r);
}

/* Everybody may log records with any FLUX_INSTANCE; who did, the journal says itself. Those of the
 * owner and of root, who runs flux-imp, count. */
static int match(sd_journal *j, const char *instance, const char *owner)
{
    char text[128], boot[SD_ID128_STRING_MAX];
    sd_id128_t id;
    int rc;

    snprintf(text, sizeof(text), "FLUX_INSTANCE=%s", instance);
    if ((rc = sd.add_match(j, text, 0)) < 0)
        return rc;
    snprintf(text, sizeof(text), "_UID=%s", owner);
    if ((rc = sd.add_match(j, text, 0)) < 0 || (rc = sd.add_match(j, "_UID=0", 0)) < 0)
        return rc;
    if (sd.get_boot(&id) < 0)
        return 0;
    for (size_t i = 0; i < sizeof(id.bytes); i++)
        snprintf(boot + 2 * i, 3, "%02x", id.bytes[i]);
    snprintf(text, sizeof(text), "_BOOT_ID=%s", boot);
    return sd.add_match(j, text, 0);
}

int log_journal_read(const char *instance, const char *owner, int follow, log_record_f cb,
                     void *arg)
{
    sd_journal *j = NULL;
    bool told = false;
    int rc;

    if ((rc = load()) < 0 || (rc = sd.open(&j, SD_JOURNAL_LOCAL_ONLY)) < 0)
        return rc;
    rc = match(j, instance, owner);
    while (rc >= 0) {
        while ((rc = sd.next(j)) > 0)
            deliver(j, cb, arg);
        if (rc == 0 && !told)
            cb(NULL, arg);
        told = true;
        if (rc < 0 || !follow)
            break;
        rc = sd.wait(j, UINT64_MAX);
    }
    sd.close(j);
    return rc < 0 ? rc : 0;
}
