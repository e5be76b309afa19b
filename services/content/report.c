/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The keys are those that fluxctl content prints in words. */
#include "content/report.h"

json_t *report_found(enum digest_algorithm hash, const struct inspect_found *found)
{
    json_t *refs = json_array();

    for (uint64_t i = 0; i < found->damaged && i < INSPECT_DAMAGED_MAX; i++) {
        char ref[BLOBREF_STRING_SIZE];

        blobref_format(hash, found->digests[i], ref);
        (void)json_array_append_new(refs, json_string(ref));
    }
    return json_pack("{s:I s:I s:I s:I s:I s:b s:o}", "looked", (json_int_t)found->looked, "bytes",
                     (json_int_t)found->bytes, "damaged", (json_int_t)found->damaged, "removed",
                     (json_int_t)found->removed, "damaged-commits",
                     (json_int_t)found->damaged_records, "broken", found->broken, "refs", refs);
}

json_t *report_salvage(const struct salvage_report *report)
{
    return json_pack("{s:I s:I s:I s:I s:I s:b s:b s:s}", "blobs", (json_int_t)report->blobs,
                     "bytes", (json_int_t)report->bytes, "damaged", (json_int_t)report->damaged,
                     "roots", (json_int_t)report->roots, "lost-roots",
                     (json_int_t)report->lost_roots, "broken", report->broken, "empty",
                     report->empty, "kept", report->kept);
}
