/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages for people: one line per message, one more for its payload. Never fails; what is not
 * printable is shown as a dot. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/message_impl.h"

#define PAYLOAD_SHOWN 72

const char *flux_msg_typestr(int type)
{
    switch (type) {
    case FLUX_MSGTYPE_REQUEST:
        return "request";
    case FLUX_MSGTYPE_RESPONSE:
        return "response";
    case FLUX_MSGTYPE_EVENT:
        return "event";
    case FLUX_MSGTYPE_CONTROL:
        return "control";
    default:
        return "unknown";
    }
}

static void print_fields(FILE *f, const struct msg_proto *p)
{
    switch (p->type) {
    case FLUX_MSGTYPE_REQUEST:
        if (p->aux1 != FLUX_NODEID_ANY)
            fprintf(f, " nodeid=%u%s", p->aux1,
                    (p->flags & FLUX_MSGFLAG_UPSTREAM) ? "(upstream)" : "");
        fprintf(f, " matchtag=%u", p->aux2);
        break;
    case FLUX_MSGTYPE_RESPONSE:
        fprintf(f, " errnum=%u matchtag=%u", p->aux1, p->aux2);
        break;
    case FLUX_MSGTYPE_EVENT:
        fprintf(f, " seq=%u", p->aux1);
        break;
    default:
        fprintf(f, " type=%u status=%u", p->aux1, p->aux2);
    }
    if (p->userid != FLUX_USERID_UNKNOWN)
        fprintf(f, " userid=%u rolemask=0x%x", p->userid, p->rolemask);
    if (p->flags & FLUX_MSGFLAG_STREAMING)
        fputs(" streaming", f);
    if (p->flags & FLUX_MSGFLAG_NORESPONSE)
        fputs(" noresponse", f);
    if (p->flags & FLUX_MSGFLAG_PRIVATE)
        fputs(" private", f);
}

static void print_payload(FILE *f, const struct msg_payload *p)
{
    const char *s = p->data;
    size_t n = p->size < PAYLOAD_SHOWN ? p->size : PAYLOAD_SHOWN;

    fprintf(f, "  %zu bytes%s ", p->size, p->data ? "" : " in a memfd");
    for (size_t i = 0; s && i < n; i++) {
        if (s[i] != '\0' || i + 1 < p->size)
            fputc(isprint((unsigned char)s[i]) ? s[i] : '.', f);
    }
    fputs(p->size > n ? "...\n" : "\n", f);
}

void flux_msg_fprint(void *file, const flux_msg_t *msg)
{
    CLEANUP(freep) char *routes = NULL;

    if (!file)
        return;
    if (!msg) {
        fputs("no message\n", file);
        return;
    }
    fprintf(file, "%s", flux_msg_typestr(msg->proto.type));
    if (msg->topic_size > 0)
        fprintf(file, " %s", msg->topic);
    routes = msg->nroutes > 0 ? flux_msg_route_string(msg) : NULL;
    if (routes)
        fprintf(file, " from %s", routes);
    print_fields(file, &msg->proto);
    fputc('\n', file);
    if (msg->payload)
        print_payload(file, msg->payload);
}
