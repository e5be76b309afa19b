/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Inside of futures, for the classes that are built into the library: RPCs, composites, chains.
 *
 * A future can be driven in two contexts: "then" (the user's reactor) and "now" (a temporary
 * reactor that exists while somebody blocks in flux_future_wait_for()). Containers make their
 * children join the context they are driven in. */
#ifndef RPC_FUTURE_IMPL_H
#define RPC_FUTURE_IMPL_H

#include <flux/future.h>
#include "base/list.h"
#include "rpc/aux.h"
#include "rpc/dispatch.h"

/* A temporary reactor, shared by a future and the children that joined it. */
struct now {
    int refcount;
    flux_reactor_t *r;
    flux_t *h;   /* clone of the future's handle that runs in r, or NULL */
    int running; /* nested runs */
};

/* One result. Lives in the future, or in the heap while the former is taken. */
struct result {
    int refcount;
    bool heap;
    bool is_error;
    int errnum;
    char *errstr;
    void *value;
    flux_free_f free_fn;
    STAILQ_ENTRY(result) link;
};
STAILQ_HEAD(result_list, result);

/* Called at once, from within the fulfilment: must not call users' code. Embedded. */
struct future_listener {
    SLIST_ENTRY(future_listener) link;
    void (*fn)(flux_future_t *f, void *arg);
    void *arg;
};

/* Something to call soon in a reactor: through the dispatcher if the reactor has one, else through
 * a timer that is due at once. Embedded. */
struct soon {
    struct deferred item;
    flux_watcher_t *timer;
    void (*cb)(void *arg);
    void *arg;
};
int soon_schedule(struct soon *s, flux_t *h, flux_reactor_t *r);
void soon_cancel(struct soon *s);
void soon_deinit(struct soon *s);

struct future_class {
    /* The future enters a context: flux_future_get_flux/_reactor tell which. */
    void (*start)(flux_future_t *f);
    /* Block without a temporary reactor, until ready or the deadline. 0 or -errno. May be NULL. */
    int (*wait)(flux_future_t *f, uint64_t deadline_usec);
    /* Of those that wait(): the connection, which the future holds even if its handle was closed.
     */
    struct conn *(*conn)(const flux_future_t *f);
    /* A context is entered anew: see what happened meanwhile. May be NULL. */
    void (*resume)(flux_future_t *f);
    /* flux_future_reset() was called. May be NULL. */
    void (*reset)(flux_future_t *f);
    void (*destroy)(flux_future_t *f);
};

enum future_context {
    CONTEXT_NONE,
    CONTEXT_THEN,
    CONTEXT_NOW,
};

struct flux_future {
    int refcount;
    int user_refs;                    /* those of them that users hold */
    const struct future_class *class; /* NULL: made by a user */
    void *self;                       /* of the class */
    struct aux aux;
    flux_reactor_t *r; /* lent, as set by the user */
    flux_t *h;         /* lent */
    flux_future_init_f init;
    void *init_arg;
    enum future_context starting; /* start or init is being called for this context */
    bool started_then, started_now;

    struct result *result; /* current; NULL: not fulfilled */
    struct result_list queue;
    struct result inline_result;
    bool fatal;
    int fatal_errnum;
    char *fatal_errstr;
    flux_future_t *with; /* fulfilled with this one; a reference */
    SLIST_HEAD(, future_listener) listeners;

    struct now *now; /* NULL until somebody blocked */
    flux_continuation_f then_cb;
    void *then_arg;
    double then_timeout;
    flux_watcher_t *then_timer;
    struct soon then_soon;

    struct chain *chain; /* what follows this one and owns it: chained.c */
};

/* A future of a class; self is freed by class->destroy. NULL with errno. */
flux_future_t *future_create(const struct future_class *cls, void *self);
flux_future_t *future_ref(flux_future_t *f);
flux_future_t *future_unref(flux_future_t *f);
void future_listen(flux_future_t *f, struct future_listener *l);
void future_unlisten(flux_future_t *f, struct future_listener *l);
/* Make a child run where its parent runs (whichever contexts it was started in). */
void future_join(flux_future_t *child, flux_future_t *parent);
void future_start(flux_future_t *f, enum future_context context);
struct now *future_now_unref(struct now *now);
/* Look again at a child after its parent entered a context anew. */
void future_resume(flux_future_t *f);
/* The reactor and handle where code of this future runs at the moment. */
flux_reactor_t *future_reactor(const flux_future_t *f);
flux_t *future_handle(const flux_future_t *f);
bool future_now_running(const flux_future_t *f);

/* result.c */
/* 0 or -ENOMEM; the value is consumed in any case. */
int result_add_value(flux_future_t *f, void *value, flux_free_f free_fn);
int result_add_error(flux_future_t *f, int errnum, const char *errstr);
int result_add_shared(flux_future_t *f, struct result *res);
const void *result_value(struct result *res);
/* Drop the current result and make the next one current. */
void result_next(flux_future_t *f);
void result_clear(flux_future_t *f);
/* Like flux_future_fulfill_with(), but a later call may name another future. */
int future_fulfill_from(flux_future_t *f, flux_future_t *p);

#endif
