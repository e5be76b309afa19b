/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Walking the ids of --cc or --bcc. */
#include "copies.h"

#include <stdio.h>

#include "client.h"

int copies_init(struct copies *k, const struct cmdline *c)
{
    const char *cc = cmdline_string(c, "cc", NULL);
    const char *bcc = cmdline_string(c, "bcc", NULL);

    *k = (struct copies){ .set_cc = cc != NULL };
    if (cc && bcc) {
        complain("--cc and --bcc exclude each other");
        return -1;
    }
    if (!cc && !bcc)
        return 0;
    if (!(k->ids = idset_decode(cc ? cc : bcc)) || idset_count(k->ids) == 0) {
        complain("--%s must be a set of numbers up to 67108864, such as 1-10,20, not '%s'",
                 cc ? "cc" : "bcc", cc ? cc : bcc);
        copies_deinit(k);
        return -1;
    }
    return 0;
}

void copies_deinit(struct copies *k)
{
    idset_destroy(k->ids);
    *k = (struct copies){ 0 };
}

size_t copies_count(const struct copies *k)
{
    return k->ids ? idset_count(k->ids) : 1;
}

bool copies_next(struct copies *k, const char **ret_cc)
{
    bool first = !k->started;

    k->started = true;
    *ret_cc = NULL;
    if (!k->ids)
        return first;
    k->id = first ? idset_first(k->ids) : idset_next(k->ids, k->id);
    if (k->id == IDSET_INVALID_ID)
        return false;
    snprintf(k->text, sizeof(k->text), "%u", k->id);
    *ret_cc = k->text;
    return true;
}
