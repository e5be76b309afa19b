/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Object and first events (RFC 21) of a submitted job. */
#include "submission.h"

struct submission *submission_free(struct submission *s)
{
    if (s) {
        json_decref(s->after);
        free(s->reduced);
        free(s->jobspec);
        free(s->J);
        free(s);
    }
    return NULL;
}

char *submission_eventlog(const struct submission *s)
{
    char *text;

    if (asprintf(
            &text,
            "{\"timestamp\":%.6f,\"name\":\"submit\",\"context\":{\"userid\":%u,\"urgency\":%d,"
            "\"flags\":%d,\"version\":1}}\n"
            "{\"timestamp\":%.6f,\"name\":\"validate\"}\n",
            s->t_submit, s->userid, s->urgency, s->flags, s->t_submit) < 0)
        return NULL;
    return text;
}
