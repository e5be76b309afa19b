/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The words of one file into a table. */
#include "words.h"

bool count_file(struct table *t, const char *path)
{
    FILE *f = fopen(path, "r");
    char word[256];
    bool ok = f;

    while (ok && read_word(f, word, sizeof(word)))
        ok = table_add(t, word);
    if (!ok)
        perror(path);
    if (f)
        fclose(f);
    return ok;
}
