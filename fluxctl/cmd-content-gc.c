/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl content gc: a collection, now. The key-value store leads it (kvs.gc). */
#include "client.h"
#include "families.h"

static int run_gc(const struct cmdline *c)
{
    const char *text = cmdline_string(c, "grace", NULL);
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *flushed = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    json_t *payload = NULL;
    double grace, seconds;
    json_int_t looked, removed, bytes, returned, missing;

    if (text && parse_duration(text, "--grace", &grace) < 0)
        return EXIT_FAILURE;
    if (!(h = client_open()))
        return EXIT_FAILURE;
    if (text && !(payload = json_pack("{s:f}", "grace", grace)))
        return complain("out of memory");
    /* What is still in the journal of the store is not looked at. */
    if (!(flushed = client_call(h, "content.flush", NULL, "flush the content store"))) {
        json_decref(payload);
        return EXIT_FAILURE;
    }
    if (!(answer = client_call(h, "kvs.gc", payload, "collect what is not needed")))
        return EXIT_FAILURE;
    if (json_unpack(answer, "{s:I s:I s:I s:I s:I s:f}", "looked", &looked, "removed", &removed,
                    "bytes", &bytes, "returned", &returned, "missing", &missing, "seconds",
                    &seconds) < 0)
        return complain("the answer is malformed");
    if (!cmdline_has(c, "quiet"))
        printf("removed %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
               " blobs, %" JSON_INTEGER_FORMAT " bytes, in %.1f s\n",
               removed, looked, bytes, seconds);
    if (!cmdline_has(c, "quiet") && returned > 0)
        printf("the database is %" JSON_INTEGER_FORMAT " bytes smaller\n", returned);
    if (missing > 0)
        complain("%" JSON_INTEGER_FORMAT " blobs are referred to and missing", missing);
    return EXIT_SUCCESS;
}

static const struct option options[] = {
    { 0, "grace", "FSD", "How long snapshots stay that are not current any more" },
    { 'q', "quiet", NULL, "Print nothing but errors" },
    { 0 },
};

const struct command cmd_content_gc[] = {
    { "content gc", NULL, "Remove blobs that the key-value store does not need", options, 0, 0, 0,
      run_gc },
    { 0 },
};
