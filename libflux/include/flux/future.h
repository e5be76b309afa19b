/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Futures: see flux_future_get(3), flux_future_create(3), flux_future_and_then(3),
 * flux_future_wait_all_create(3). */
#ifndef FLUX_FUTURE_H
#define FLUX_FUTURE_H

#include <flux/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*flux_continuation_f)(flux_future_t *f, void *arg);
typedef void (*flux_future_init_f)(flux_future_t *f, void *arg);
typedef void (*flux_future_init_reactor_f)(flux_future_t *f, flux_reactor_t *r, void *arg);

int flux_future_then(flux_future_t *f, double timeout, flux_continuation_f cb, void *arg);
int flux_future_wait_for(flux_future_t *f, double timeout);
int flux_future_get(flux_future_t *f, const void **result);
void flux_future_reset(flux_future_t *f);
void flux_future_destroy(flux_future_t *f);
bool flux_future_is_ready(flux_future_t *f);
bool flux_future_has_error(flux_future_t *f);
const char *flux_future_error_string(flux_future_t *f);

flux_future_t *flux_future_create(flux_future_init_f cb, void *arg);
flux_future_t *flux_future_create_with_reactor(flux_future_init_reactor_f cb, void *arg);
#ifndef __cplusplus
/* Callbacks with and without the reactor are both in use. */
#define flux_future_create(cb, arg)                     \
    _Generic((cb), flux_future_init_reactor_f           \
             : flux_future_create_with_reactor, default \
             : flux_future_create)((cb), (arg))
#endif
void flux_future_incref(flux_future_t *f);
void flux_future_decref(flux_future_t *f);
void flux_future_fulfill(flux_future_t *f, void *result, flux_free_f free_fn);
void flux_future_fulfill_error(flux_future_t *f, int errnum, const char *errstr);
int flux_future_fulfill_with(flux_future_t *f, flux_future_t *p);
void flux_future_fatal_error(flux_future_t *f, int errnum, const char *errstr);
void *flux_future_aux_get(flux_future_t *f, const char *name);
int flux_future_aux_set(flux_future_t *f, const char *name, void *aux, flux_free_f destroy);
void flux_future_set_reactor(flux_future_t *f, flux_reactor_t *r);
flux_reactor_t *flux_future_get_reactor(flux_future_t *f);
void flux_future_set_flux(flux_future_t *f, flux_t *h);
flux_t *flux_future_get_flux(flux_future_t *f);

flux_future_t *flux_future_wait_all_create(void);
flux_future_t *flux_future_wait_any_create(void);
int flux_future_push(flux_future_t *cf, const char *name, flux_future_t *f);
const char *flux_future_first_child(flux_future_t *cf);
const char *flux_future_next_child(flux_future_t *cf);
flux_future_t *flux_future_get_child(flux_future_t *cf, const char *name);

flux_future_t *flux_future_and_then(flux_future_t *f, flux_continuation_f cb, void *arg);
flux_future_t *flux_future_or_then(flux_future_t *f, flux_continuation_f cb, void *arg);
int flux_future_continue(flux_future_t *prev, flux_future_t *f);
void flux_future_continue_error(flux_future_t *prev, int errnum, const char *errstr);
int flux_future_fulfill_next(flux_future_t *f, void *result, flux_free_f free_fn);

#ifdef __cplusplus
}
#endif

#endif
