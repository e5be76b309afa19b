/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* log.append takes this from anybody. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "broker/logline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data;
    struct logline l;

    if (logline_parse(s, size, &l) < 0)
        return 0;
    assert(l.severity >= 0 && l.severity <= 7);
    assert(l.text >= s && l.text + l.text_size <= s + size);
    assert(strlen(l.appname) < sizeof(l.appname));
    return 0;
}
