/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A data event that decodes, encodes to one that decodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/iodata.h"
#include "base/jsonx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const json_t *o)
{
    struct iodata io, again;
    json_t *o2;
    bool partial;

    if (iodata_decode(o, &io) < 0)
        return;
    if (iodata_text_length(io.data, io.size, &partial) > io.size)
        abort();
    if (io.size > 0 || io.eof) {
        o2 = iodata_encode(io.stream, io.rank, io.data, io.size, io.eof);
        if (!o2 || iodata_decode(o2, &again) < 0 || again.size != io.size || again.eof != io.eof ||
            (io.size > 0 && memcmp(again.data, io.data, io.size) != 0))
            abort();
        iodata_deinit(&again);
        json_decref(o2);
    }
    iodata_deinit(&io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *o = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

    if (o)
        check(o);
    json_decref(o);
    return 0;
}
