/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The list of services that are called directly. It is believed only if it is a plain file that the
 * caller owns and nobody else can write: then it was written by the router of the caller's own
 * instance. Services check who calls them, as the router does. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "rpc/direct.h"
#include "wire/message.h"

#define SIZE_MAX_BYTES 8192

void direct_deinit(struct direct *d)
{
    free(d->text);
    *d = (struct direct){ 0 };
}

char *direct_path(const char *router_path, const char *name)
{
    const char *slash = strrchr(router_path, '/');
    char *path;

    if (asprintf(&path, "%.*s%s", slash ? (int)(slash - router_path) + 1 : 0, router_path, name) <
        0)
        return NULL;
    return path;
}

static bool is_ours(int fd, size_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 022) || st.st_size > SIZE_MAX_BYTES)
        return false;
    *ret_size = (size_t)st.st_size;
    return true;
}

static char *read_list(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    CLEANUP(freep) char *text = NULL;
    size_t size;
    ssize_t n;

    if (fd < 0 || !is_ours(fd, &size) || !(text = calloc(1, size + 1)))
        return NULL;
    n = read(fd, text, size);
    return n == (ssize_t)size ? TAKE(text) : NULL;
}

static int parse_line(struct direct *d, char *line)
{
    char *value = strchr(line, ' ');
    struct direct_service *s = &d->services[d->count];

    if (!value)
        return -EINVAL;
    *value++ = '\0';
    if (d->count == 0 && d->rank == FLUX_NODEID_ANY && strcmp(line, "rank") == 0)
        return number_parse_u32(value, &d->rank);
    if (*value == '/' || *value == '\0' || d->count == DIRECT_MAX)
        return -EINVAL;
    *s = (struct direct_service){ .name = line, .name_size = strlen(line), .path = value };
    d->count++;
    return 0;
}

int direct_parse(struct direct *d, const char *text)
{
    char *save = NULL;
    int rc = 0;

    direct_deinit(d);
    d->looked = true;
    d->rank = FLUX_NODEID_ANY;
    d->text = strdup(text);
    if (!d->text)
        return -ENOMEM;
    for (char *line = strtok_r(d->text, "\n", &save); line && rc == 0;
         line = strtok_r(NULL, "\n", &save))
        rc = parse_line(d, line);
    return rc;
}

void direct_look(struct direct *d, const char *router_path)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(freep) char *text = NULL;

    d->looked = true;
    if (!router_path || getenv("FLUX_HANDLE_ROUTED"))
        return;
    path = direct_path(router_path, DIRECT_FILE);
    text = path ? read_list(path) : NULL;
    if (text)
        (void)direct_parse(d, text);
}

static bool is_for_this_node(const struct direct *d, const struct msg_proto *p)
{
    return !(p->flags & FLUX_MSGFLAG_UPSTREAM) &&
           (p->aux1 == FLUX_NODEID_ANY || p->aux1 == d->rank);
}

struct direct_service *direct_find(struct direct *d, const flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);
    const char *topic = msg_topic(msg);
    size_t size;

    /* A route stack is for the router to judge. */
    if (d->count == 0 || p->type != FLUX_MSGTYPE_REQUEST || !is_for_this_node(d, p) ||
        flux_msg_route_count(msg) > 0)
        return NULL;
    size = strcspn(topic, ".");
    for (size_t i = 0; i < d->count; i++) {
        struct direct_service *s = &d->services[i];

        if (s->name_size == size && memcmp(s->name, topic, size) == 0)
            return s->routed ? NULL : s;
    }
    return NULL;
}

void direct_give_up(struct direct *d, const char *path)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->services[i].path, path) == 0)
            d->services[i].routed = true;
}

void direct_failed(struct direct *d, const char *path)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->services[i].path, path) == 0 &&
            ++d->services[i].failures >= DIRECT_FAILURES_MAX)
            d->services[i].routed = true;
}
