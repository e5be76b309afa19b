/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the kvs commands share. */
#include "kvs-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/treeobj.h"
#include "base/digest.h"
#include "client.h"

const char *kvs_option_namespace(const struct cmdline *c)
{
    return cmdline_string(c, "namespace", NULL);
}

char *kvs_option_at(const struct cmdline *c, int *ret_status)
{
    const char *s = cmdline_string(c, "at", NULL);
    json_t *o;
    char *text = NULL;

    *ret_status = EXIT_SUCCESS;
    if (!s)
        return NULL;
    o = blobref_valid(s) ? treeobj_create_dirref(s) : treeobj_decode(s, strlen(s));
    if (o)
        text = treeobj_encode(o);
    json_decref(o);
    if (!text)
        *ret_status = complain("--at: '%.80s' is neither a tree object (RFC 11) nor a blobref; "
                               "`flux kvs getroot` prints one",
                               s);
    return text;
}

int kvs_complain(flux_future_t *f, const char *option, const char *ns, const char *what)
{
    int errnum = errno;
    const char *reason = future_reason(f);
    const char *variable = getenv("FLUX_KVS_NAMESPACE");
    const char *name = ns ? ns : variable && *variable ? variable : "primary";

    if (!ns && name == variable)
        option = "FLUX_KVS_NAMESPACE";
    if (errnum == ENOTSUP && strcmp(name, "primary") == 0) /* that is always there */
        return complain("%s: a link leads to a namespace that there is not, or that was removed; "
                        "`flux kvs namespace list` shows those that there are",
                        what);
    if (errnum == ENOTSUP)
        return complain("%s: no such namespace, or it was removed: '%s' (%s); `flux kvs namespace "
                        "list` shows those that there are",
                        what, name, option);
    if (errnum == EPERM && (!f || strstr(reason, "another user")))
        return complain("%s: the namespace belongs to another user: '%s'; %s chooses another one",
                        what, name, option);
    if (errnum == ENOENT && strcmp(name, "primary") != 0)
        return complain("%s: %s in namespace '%s' (%s)", what, reason, name, option);
    return complain("%s: %s", what, reason);
}

int kvs_complain_key(const char *key)
{
    if (errno == EINVAL && !*key)
        return complain("a key cannot be empty");
    if (errno == EINVAL && key[strspn(key, ".")] == '\0')
        return complain("'%s' is the root: what is in it can be changed, not the root itself", key);
    return complain("%s: %s", key, strerror(errno));
}
