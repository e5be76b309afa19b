/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the attributes of an instance are: from the environment that started the router and from the
 * configuration. Rank, size and the tree are what boot.c has found out. */
#include <pwd.h>
#include <string.h>
#include <syslog.h>

#include "base/fsd.h"
#include "base/monotime.h"
#include "base/number.h"
#include "broker/manager.h"
#include <config.h>
#include "service/log.h"
#include "service/safemode.h"
#include "service/state.h"

static const char *default_hash = "blake2b";

/* Known to all daemons from their start on. */
static const char *const log_options[] = { "log-stderr-level", "log-critical-level",
                                           "log-forward-level", "log-filename" };

static int on_set(const char *name, const char *value, void *arg)
{
    int level;

    for (size_t i = 0; i < ARRAY_SIZE(log_options); i++)
        if (strcmp(name, log_options[i]) == 0)
            return -EPERM;
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

/* What is shown on standard error or copied to a file, where the log is kept in files; supervise/
 * tells all daemons. */
static int check_log_option(const char *name, const char *value)
{
    const bool is_file = strcmp(name, "log-filename") == 0;
    int n;

    if (!is_file && number_parse_int(value, LOG_EMERG, LOG_DEBUG, &n) < 0) {
        log_err("%s: '%s' is no number from 0 to 7", name, value);
        return -EINVAL;
    }
    if (!getenv("FLUX_LOG_DIR")) {
        log_err("%s: the records of this instance are in the journal, and are shown by "
                "journalctl(1) and flux-dmesg(1)",
                name);
        return -EINVAL;
    }
    if (is_file && (n = *value ? log_copy_status() : -ENOENT) < 0) {
        log_err("log-filename: cannot write '%s': %s", value, strerror(-n));
        return n;
    }
    return 0;
}

static int add_log(struct manager *m)
{
    const char *mode = broker_options_value(&m->options, "log-stderr-mode");

    if (mode && strcmp(mode, "local") != 0) {
        log_err("log-stderr-mode: '%s' is not offered: each node shows its own records (local)",
                mode);
        return -EINVAL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(log_options); i++) {
        const char *value = broker_options_value(&m->options, log_options[i]);
        int rc = value ? check_log_option(log_options[i], value) : 0;

        if (rc < 0 || (rc = attr_add(&m->attrs, log_options[i], value, ATTR_IMMUTABLE)) < 0)
            return rc;
    }
    return attr_add(&m->attrs, "log-stderr-mode", "local", ATTR_IMMUTABLE);
}

static int add_node(struct manager *m)
{
    struct attrs *a = &m->attrs;
    const char *rundir = service_rundir(m->svc);
    int rc;

    if ((rc = attr_addf(a, "rank", ATTR_IMMUTABLE, "%u", m->router.rank)) < 0 ||
        (rc = attr_addf(a, "size", ATTR_IMMUTABLE, "%u", m->router.size)) < 0 ||
        (rc = attr_add(a, "rundir", rundir, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_addf(a, "local-uri", ATTR_IMMUTABLE, "local://%s/local", rundir)) < 0 ||
        (rc = attr_add(a, "hostname", m->boot.host, ATTR_IMMUTABLE)) < 0 ||
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
        (rc = attr_add(a, "jobid", getenv("FLUX_ENCLOSING_ID"), ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "parent-kvs-namespace", getenv("FLUX_PARENT_KVS_NAMESPACE"),
                       ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "statedir", service_statedir(m->svc), ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "config.path", m->config.path, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "content.hash", content_hash(m), ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_addf(a, "security.owner", ATTR_IMMUTABLE, "%u",
                        (unsigned int)service_owner(m->svc))) < 0)
        return rc;
    rc = attr_add(a, "log-level", log_level(), 0);
    return rc < 0 ? rc : add_log(m);
}

static int add_duration(struct attrs *a, const char *name, double seconds)
{
    char text[32];
    const int rc = fsd_format(text, sizeof(text), seconds);

    return rc < 0 ? rc : attr_add(a, name, text, ATTR_IMMUTABLE);
}

/* What was asked for; the rest is what was found. */
static int add_tbonconf(struct manager *m)
{
    const struct tbonconf *c = &m->tbon;
    struct attrs *a = &m->attrs;
    int rc;

    if ((rc = add_duration(a, "tbon.connect_timeout", c->connect_timeout)) < 0 ||
        (rc = add_duration(a, "tbon.tcp_user_timeout", c->tcp_user_timeout)) < 0 ||
        (rc = add_duration(a, "tbon.restart_timeout", c->restart_timeout)) < 0 ||
        (rc = add_duration(a, "tbon.torpid_min", c->torpid_min)) < 0 ||
        (rc = add_duration(a, "tbon.torpid_max", c->torpid_max)) < 0 ||
        (rc = attr_addf(a, "tbon.zmqdebug", ATTR_IMMUTABLE, "%d", c->zmqdebug)) < 0)
        return rc;
    return attr_addf(a, "tbon.prefertcp", ATTR_IMMUTABLE, "%d", c->prefertcp);
}

static int add_limit(struct attrs *a, const char *name, double seconds)
{
    return seconds > 0 ? add_duration(a, name, seconds) : attr_add(a, name, "none", ATTR_IMMUTABLE);
}

static int add_life(struct manager *m)
{
    const struct runlog *log = &m->runlog;
    struct attrs *a = &m->attrs;
    int rc;

    if ((rc = attr_addf(a, "broker.quorum", ATTR_IMMUTABLE, "%u", m->quorum)) < 0 ||
        (rc = add_limit(a, "broker.quorum-warn", m->quorum_warn)) < 0 ||
        (rc = add_limit(a, "broker.orphan-timeout", m->orphan_limit)) < 0 ||
        (rc = add_limit(a, "broker.cleanup-timeout", m->shutdown.cleanup_limit)) < 0 ||
        (rc = add_limit(a, "broker.shutdown-timeout", m->shutdown.children_limit)) < 0)
        return rc;
    if (log->id[0] && (rc = attr_add(a, "broker.run-id", log->id, ATTR_IMMUTABLE)) < 0)
        return rc;
    return log->unclean && life_wants_safe_mode(m)
               ? attr_add(a, SAFE_MODE_ATTR, log->id, ATTR_IMMUTABLE)
               : 0;
}

static int add_tree(struct manager *m)
{
    const struct boot *b = &m->boot;
    struct attrs *a = &m->attrs;
    const struct overlay *o = m->router.overlay;
    int rc;

    if ((rc = add_life(m)) < 0 ||
        (rc = attr_add(a, "tbon.topo", b->topo_spec, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_addf(a, "tbon.level", ATTR_IMMUTABLE, "%u", topology_level(b->topo, b->rank))) <
            0 ||
        (rc = attr_addf(a, "tbon.maxlevel", ATTR_IMMUTABLE, "%u", topology_maxlevel(b->topo))) <
            0 ||
        (rc = attr_addf(a, "tbon.descendants", ATTR_IMMUTABLE, "%u",
                        topology_descendants(b->topo, b->rank))) < 0 ||
        (rc = attr_add(a, "tbon.endpoint", o ? overlay_uri(o) : NULL, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "hostlist", b->hostlist, ATTR_IMMUTABLE)) < 0 ||
        (rc = attr_add(a, "config.hostlist", strcmp(b->method, "config") == 0 ? b->hostlist : NULL,
                       ATTR_IMMUTABLE)) < 0 ||
        (rc = add_tbonconf(m)) < 0)
        return rc;
    if (strncmp(b->topo_spec, "kary:", 5) == 0 &&
        (rc = attr_add(a, "tbon.fanout", b->topo_spec + 5, ATTR_IMMUTABLE)) < 0)
        return rc;
    return attr_add(a, "tbon.parent-endpoint", b->parent.uri[0] ? b->parent.uri : NULL,
                    ATTR_IMMUTABLE);
}

int instance_attrs(struct manager *m)
{
    int rc = add_node(m);

    m->attrs.on_set = on_set;
    if (rc == 0)
        rc = add_instance(m);
    return rc < 0 ? rc : add_tree(m);
}
