/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* words FILE...: how often each word occurs in the files. */
#include <stdlib.h>

#include "words.h"

int main(int argc, char **argv)
{
    static struct table t;
    const struct word **words;
    bool ok = true;

    for (int i = 1; i < argc; i++)
        ok = count_file(&t, argv[i]) && ok;
    if (!(words = sort_words(&t)))
        return EXIT_FAILURE;
    for (size_t i = 0; words[i]; i++)
        printf("%zu %s\n", words[i]->count, words[i]->text);
    free(words);
    table_free(&t);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
