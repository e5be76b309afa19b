/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_job_state_t state;
    flux_job_result_t result;

    if (flux_job_strtostate("r", &state) < 0 || flux_job_strtoresult("Timeout", &result) < 0)
        err(1, "names");
    printf("%s %s %s\n", flux_job_statetostr(state, NULL), flux_job_statetostr(state, "l"),
           state & FLUX_JOB_STATE_ACTIVE ? "active" : "inactive");
    printf("%s %s\n", flux_job_resulttostr(result, "S"), flux_job_resulttostr(7, NULL));
    if (flux_job_strtostate("resting", &state) < 0)
        printf("%s\n", strerror(errno));
    return 0;
}
/* Output:
 * RUN run active
 * TO (unknown)
 * Invalid argument
 */
