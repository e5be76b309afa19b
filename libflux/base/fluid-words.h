/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The 1626 words of the mnemonic encoding. */
#ifndef BASE_FLUID_WORDS_H
#define BASE_FLUID_WORDS_H

#include <stddef.h>

#define FLUID_WORDS 1626

/* Word number n < FLUID_WORDS; not terminated. */
const char *fluid_word(unsigned int n, int *ret_len);
int fluid_word_find(const char *word, size_t len); /* its number, or -EINVAL */

#endif
