/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The list of sockets is written to a file of its own name and renamed, so that nobody reads half
 * of it. A further name of a service (Symlinks= of its socket unit) is listed with the socket that
 * it leads to: that is one daemon, and a client needs one connection to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/publish.h"
#include "rpc/direct.h"

void publish_deinit(struct publish *p)
{
    free(p->text);
    p->text = NULL;
}

struct listing {
    const struct dial *d;
    FILE *f;
    size_t count;
};

static void list(const char *name, void *arg)
{
    struct listing *l = arg;
    char path[DIAL_PATH_SIZE];

    if (l->count < DIRECT_MAX && dial_resolve(l->d, name, path) == 0) {
        (void)fprintf(l->f, "%s %s\n", name, path);
        l->count++;
    }
}

static char *make_list(const struct dial *d)
{
    char *text = NULL;
    size_t size;
    struct listing l = { .d = d, .f = open_memstream(&text, &size) };
    bool ok;

    if (!l.f)
        return NULL;
    (void)fprintf(l.f, "rank %u\n", d->rank);
    dial_foreach(d, list, &l);
    ok = !ferror(l.f);
    if (fclose(l.f) != 0 || !ok) {
        free(text);
        return NULL;
    }
    return text;
}

static int write_file(const char *path, const char *text)
{
    CLEANUP(closep) int fd = -EBADF;
    CLEANUP(freep) char *tmp = NULL;
    const size_t size = strlen(text);

    if (asprintf(&tmp, "%s.new", path) < 0) {
        tmp = NULL;
        return -ENOMEM;
    }
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || rename(tmp, path) < 0)
        return errno ? -errno : -EIO;
    return 0;
}

int publish_update(struct publish *p, const struct dial *d)
{
    CLEANUP(freep) char *text = make_list(d);
    CLEANUP(freep) char *path = NULL;
    int rc;

    if (!text || asprintf(&path, "%s/" DIRECT_FILE, d->rundir) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (p->text && strcmp(p->text, text) == 0)
        return 0;
    rc = write_file(path, text);
    if (rc == 0) {
        publish_deinit(p);
        p->text = TAKE(text);
    }
    return rc;
}
