/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_answer(flux_future_t *f, void *arg)
{
    int *answers = arg;

    printf("answer %d\n", ++*answers);
    flux_future_destroy(f);
}

/* A handle in a reactor of ours, with a request under way. */
static flux_t *start(flux_reactor_t *r, int *answers)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f;

    if (!h || flux_set_reactor(h, r) < 0)
        err(1, "flux_set_reactor");
    f = flux_rpc(h, "broker.ping", "{}", FLUX_NODEID_ANY, 0);
    if (!f || flux_future_then(f, -1., on_answer, answers) < 0)
        err(1, "flux_rpc");
    return h;
}

int main(void)
{
    int answers = 0;
    flux_reactor_t *r = flux_reactor_create(0);
    flux_t *a = start(r, &answers);
    flux_t *b = start(r, &answers);

    flux_reactor_run(r, 0);
    if (flux_set_reactor(a, r) < 0)
        printf("again: %s\n", strerror(errno));
    flux_close(a);
    flux_close(b);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * answer 1
 * answer 2
 * again: File exists
 */
