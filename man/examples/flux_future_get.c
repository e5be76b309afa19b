/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_answer(flux_future_t *f, void *arg)
{
    const char *s;

    if (flux_rpc_get_unpack(f, "{s:s}", "value", &s) < 0)
        errx(1, "attr.get: %s", flux_future_error_string(f));
    printf("%s is %s\n", (const char *)arg, s);
    flux_future_destroy(f);
}

static flux_future_t *ask(flux_t *h, const char *name)
{
    flux_future_t *f = flux_rpc_pack(h, "attr.get", FLUX_NODEID_ANY, 0, "{s:s}", "name", name);

    if (!f)
        err(1, "flux_rpc_pack");
    return f;
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f;

    if (!h)
        err(1, "flux_open");
    f = ask(h, "size"); /* asynchronously */
    if (flux_future_then(f, 30., on_answer, "size") < 0)
        err(1, "flux_future_then");
    if (flux_reactor_run(flux_get_reactor(h), 0) < 0)
        err(1, "flux_reactor_run");

    f = ask(h, "no.such"); /* or with a limit of time */
    if (flux_future_wait_for(f, 30.) < 0)
        err(1, "flux_future_wait_for");
    if (flux_future_has_error(f))
        printf("error: %s\n", flux_future_get(f, NULL) < 0 ? strerror(errno) : "none");
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * size is 1
 * error: No such file or directory
 */
