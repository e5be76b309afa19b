/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Auxiliary items: a list, because objects carry few of them. Newest first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/aux.h"

struct aux_item {
    struct aux_item *next;
    void *value;
    flux_free_f destroy;
    char name[]; /* "" if anonymous */
};

static void item_destroy(struct aux_item *item)
{
    int saved_errno = errno;

    if (item->destroy)
        item->destroy(item->value);
    free(item);
    errno = saved_errno;
}

static struct aux_item **find(struct aux *aux, const char *name)
{
    for (struct aux_item **p = &aux->head; *p; p = &(*p)->next) {
        if (strcmp((*p)->name, name) == 0)
            return p;
    }
    return NULL;
}

void *aux_get(const struct aux *aux, const char *name)
{
    if (!name || !*name) {
        errno = EINVAL;
        return NULL;
    }
    for (const struct aux_item *i = aux->head; i; i = i->next) {
        if (strcmp(i->name, name) == 0)
            return i->value;
    }
    errno = ENOENT;
    return NULL;
}

int aux_set(struct aux *aux, const char *name, void *value, flux_free_f destroy)
{
    size_t len = name ? strlen(name) : 0;
    struct aux_item *item = NULL;
    struct aux_item **old;

    if ((name && len == 0) || (!name && !value) || (!value && destroy)) {
        errno = EINVAL;
        return -1;
    }
    if (value) {
        item = calloc(1, sizeof(*item) + len + 1);
        if (!item)
            return -1;
        item->value = value;
        item->destroy = destroy;
        if (name)
            memcpy(item->name, name, len);
    }
    old = name ? find(aux, name) : NULL;
    if (old) {
        struct aux_item *gone = *old;

        *old = gone->next;
        item_destroy(gone);
    }
    if (item) {
        item->next = aux->head;
        aux->head = item;
    }
    return 0;
}

void aux_deinit(struct aux *aux)
{
    while (aux->head) {
        struct aux_item *item = aux->head;

        aux->head = item->next;
        item_destroy(item);
    }
}
