/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whatever decodes encodes to a string that decodes to the same names in the same order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <flux/hostlist.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    struct hostlist *hl = hostlist_decode(text);
    struct hostlist *again;
    char *s;

    free(text);
    if (!hl)
        return 0;
    s = hostlist_encode(hl);
    again = hostlist_decode(s);
    if (!again || hostlist_count(again) != hostlist_count(hl))
        abort();
    for (int i = 0; i < hostlist_count(hl); i++) {
        if (strcmp(hostlist_nth(hl, i), hostlist_nth(again, i)) != 0)
            abort();
    }
    free(s);
    hostlist_uniq(again);
    hostlist_destroy(again);
    hostlist_destroy(hl);
    return 0;
}
