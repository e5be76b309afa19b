/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    static const char *const types[] = { "dec", "hex", "dothex", "kvs", "words", "f58plain" };
    flux_jobid_t id;
    char buf[128];

    if (flux_job_id_parse("f2Ej", &id) < 0)
        err(1, "flux_job_id_parse");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (flux_job_id_encode(id, types[i], buf, sizeof(buf)) < 0)
            err(1, "%s", types[i]);
        printf("%s: %s\n", types[i], buf);
    }
    if (flux_job_kvs_key(buf, sizeof(buf), id, "eventlog") < 0)
        err(1, "flux_job_kvs_key");
    printf("%s\n", buf);
    if (flux_job_kvs_namespace(buf, sizeof(buf), id) < 0)
        err(1, "flux_job_kvs_namespace");
    printf("%s\n", buf);
    if (flux_job_id_parse("no id", &id) < 0 || flux_job_id_encode(id, "dec", buf, 2) < 0)
        printf("%s\n", strerror(errno));
    return 0;
}
/* Output:
 * dec: 4160
 * hex: 0x1040
 * dothex: 0000.0000.0000.1040
 * kvs: job.0000.0000.0000.1040
 * words: helium-active-academy--academy-academy-academy
 * f58plain: f2Ej
 * job.0000.0000.0000.1040.eventlog
 * job-4160
 * Invalid argument
 */
