/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The values of expressions and what functions make of them; for expression.c alone. */
#ifndef FLUXCTL_EXPRESSION_VALUE_H
#define FLUXCTL_EXPRESSION_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <flux/types.h>

enum kind { KIND_INT, KIND_REAL, KIND_TEXT, KIND_BOOL };

struct val {
    enum kind kind;
    int64_t i; /* KIND_INT, KIND_BOOL */
    double r;
    char *s; /* KIND_TEXT; owned */
};

void val_free(struct val *v);
void val_set_text(struct val *v, char *s); /* steals s */
void val_set_int(struct val *v, int64_t i);
void val_set_bool(struct val *v, bool b);
void val_set_real(struct val *v, double r);
bool val_is_integral(const struct val *v);
double val_real(const struct val *v);
bool val_is_true(const struct val *v);
char *val_text(const struct val *v); /* as str() has it; malloc'd */
int val_compare(const struct val *a, const struct val *b, int *ret, flux_error_t *error);

/* A function of n arguments; a method of args[0]. The result is left in args[0]. 0 or -errno. */
int val_call(const char *name, struct val *args, int n, flux_error_t *error);
int val_method(const char *name, struct val *args, int n, flux_error_t *error);

/* They fail with a sentence and return -errno. */
int val_type_error(const char *what, flux_error_t *error);
int val_overflow(flux_error_t *error);

#endif
