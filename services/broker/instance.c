/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the attributes of an instance are: from the environment that started the router and from the
 * configuration. A single node is rank 0 of 1; the tree will give these. */
#include <pwd.h>
#include <string.h>
#include <syslog.h>

#include "base/monotime.h"
#include "base/number.h"
#include "broker/manager.h"
#include <config.h>
#include "service/log.h"
#include "service/state.h"

static const char *default_hash = "blake2b";

static int on_set(const char *name, const char *value, void *arg)
{
    int level;

    if (strcmp(name, "log-level") != 0)
        return 0;
    if (number_parse_int(value, LOG_EMERG, LOG_DEBUG, &level) < 0)
        return -EINVAL;
    log_set_level(level);
    return 0;
}

static const char *content_hash(const struct manager *m)
{
    const json_t *table = json_object_get(m->config.o, "content");
    const char *hash = json_string_value(json_object_get(table, "hash"));

    return hash ? hash : default_hash;
}

static const char *log_level(void)
{
    const char *level = getenv("FLUX_LOG_LEVEL");
    int n;

    return level && number_parse_int(level, LOG_EMERG, LOG_DEBUG, &n) == 0 ? level : "6";
}

static int add_node(struct manager *m)
{
    struct attrs *a = &m->attrs;
    const char *rundir = service_rundir(m->svc);
    char hostname[256] = "";
    int rc;

    if (gethostname(hostname, sizeof(hostname) - 1) < 0)
        return -errno;
    if ((rc = attr_addf(a, "rank", ATTR_IMMUTABLE, "%u", m->router.rank)) < 0 ||
        (rc = attr_addf(a, "size", ATTR_IMMUTABLE, "%u", m->router.size)) < 0 ||
        (rc = attr_add(a, "rundir", rundir, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_addf(a, "local-uri", ATTR_IMMUTABLE, "local://%s/local", rundir)) < 0 ||
        (rc = attr_add(a, "hostname", hostname, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "version", FLUX_VERSION, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_addf(a, "broker.pid", ATTR_IMMUTABLE, "%d", (int)getpid())) < 0)
        return rc;
    return attr_addf(a, "broker.starttime", ATTR_IMMUTABLE, "%.2f", walltime());
}

static int add_instance(struct manager *m)
{
    struct attrs *a = &m->attrs;
    const char *level = getenv("FLUX_INSTANCE_LEVEL");
    int rc;

    if ((rc = attr_add(a, "instance-name", m->svc->instance, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "instance-level", level ? level : "0", ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "parent-uri", getenv("FLUX_PARENT_URI"), ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "parent-kvs-namespace", getenv("FLUX_PARENT_KVS_NAMESPACE"),
                       ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "statedir", service_statedir(m->svc), ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "config.path", m->config.path, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "content.hash", content_hash(m), ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_addf(a, "security.owner", ATTR_IMMUTABLE, "%u",
                        (unsigned int)service_owner(m->svc))) < 0)
        return rc;
    return attr_add(a, "log-level", log_level(), 0);
}

int instance_attrs(struct manager *m)
{
    const int rc = add_node(m);

    m->attrs.on_set = on_set;
    return rc < 0 ? rc : add_instance(m);
}
