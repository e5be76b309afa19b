// SPDX-License-Identifier: LGPL-3.0-or-later
// TOML to JSON. Every C++ exception (a parse error, lack of memory) ends inside the function that
// the C side called. Refuses infinities and NaN, which JSON cannot say, and nesting beyond what
// toml++ itself allows.
#include "base/toml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <toml++/toml.h>

extern "C" {
#include "base/errorx.h"
}

namespace
{

constexpr size_t file_size_max = 4u << 20;

struct json_deleter {
    void operator()(json_t *o) const
    {
        json_decref(o);
    }
};
using json_ptr = std::unique_ptr<json_t, json_deleter>;

json_ptr check(json_t *o)
{
    if (!o)
        throw std::bad_alloc();
    return json_ptr(o);
}

json_ptr convert(const toml::node &node);

json_ptr convert_table(const toml::table &table)
{
    json_ptr o = check(json_object());

    for (auto &&[key, value] : table) {
        std::string name(key.str());

        if (name.find('\0') != std::string::npos)
            throw std::invalid_argument("a key contains a NUL");
        if (json_object_set_new(o.get(), name.c_str(), convert(value).release()) < 0)
            throw std::bad_alloc();
    }
    return o;
}

json_ptr convert_array(const toml::array &array)
{
    json_ptr o = check(json_array());

    for (auto &&value : array) {
        if (json_array_append_new(o.get(), convert(value).release()) < 0)
            throw std::bad_alloc();
    }
    return o;
}

json_ptr convert_real(double value)
{
    if (!std::isfinite(value))
        throw std::invalid_argument("numbers must be finite");
    return check(json_real(value));
}

json_ptr convert_string(const std::string &s)
{
    if (s.find('\0') != std::string::npos)
        throw std::invalid_argument("a string contains a NUL");
    return check(json_stringn(s.data(), s.size()));
}

template <typename T> json_ptr convert_date(const T &value)
{
    std::ostringstream os;

    os << value;
    return convert_string(os.str());
}

json_ptr convert(const toml::node &node)
{
    switch (node.type()) {
    case toml::node_type::table:
        return convert_table(*node.as_table());
    case toml::node_type::array:
        return convert_array(*node.as_array());
    case toml::node_type::string:
        return convert_string(node.as_string()->get());
    case toml::node_type::integer:
        return check(json_integer(node.as_integer()->get()));
    case toml::node_type::floating_point:
        return convert_real(node.as_floating_point()->get());
    case toml::node_type::boolean:
        return check(json_boolean(node.as_boolean()->get()));
    case toml::node_type::date:
        return convert_date(node.as_date()->get());
    case toml::node_type::time:
        return convert_date(node.as_time()->get());
    case toml::node_type::date_time:
        return convert_date(node.as_date_time()->get());
    case toml::node_type::none:
        break;
    }
    return check(json_null());
}

// path: for the message only.
json_t *parse(const char *text, size_t len, const char *path, flux_error_t *error) noexcept
{
    try {
        return convert(toml::parse(std::string_view(text, len))).release();
    } catch (const toml::parse_error &e) {
        std::string_view reason = e.description();

        errorx_set(error, "%s:%u: %.*s", path, e.source().begin.line, (int)reason.size(),
                   reason.data());
        errno = EINVAL;
    } catch (const std::bad_alloc &) {
        errorx_set(error, "%s: out of memory", path);
        errno = ENOMEM;
    } catch (const std::exception &e) {
        errorx_set(error, "%s:1: %s", path, e.what());
        errno = EINVAL;
    } catch (...) {
        errorx_set(error, "%s:1: cannot be parsed", path);
        errno = EINVAL;
    }
    return nullptr;
}

// The whole of a regular file. 0 or -errno.
int slurp(const char *path, std::string &text, flux_error_t *error)
{
    struct fd {
        int n;
        ~fd()
        {
            if (n >= 0)
                (void)close(n);
        }
    } fd = { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
    struct stat st;
    ssize_t n;

    if (fd.n < 0 || fstat(fd.n, &st) < 0)
        return errorx_fail(error, errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return errorx_fail(error, EINVAL, "%s: not a regular file", path);
    if ((size_t)st.st_size > file_size_max)
        return errorx_fail(error, EFBIG, "%s: larger than %zu bytes", path, file_size_max);
    text.resize((size_t)st.st_size);
    for (size_t off = 0; off < text.size(); off += (size_t)n) {
        if ((n = read(fd.n, text.data() + off, text.size() - off)) < 0)
            return errorx_fail(error, errno, "%s: %s", path, strerror(errno));
        if (n == 0) {
            text.resize(off);
            break;
        }
    }
    return 0;
}

// Later values win key by key; tables are merged, everything else is replaced.
void merge(json_t *into, json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach (from, key, value) {
        json_t *old = json_object_get(into, key);

        if (json_is_object(old) && json_is_object(value))
            merge(old, value);
        else if (json_object_set(into, key, value) < 0)
            throw std::bad_alloc();
    }
}

int is_toml(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return e->d_name[0] != '.' && len > 5 && strcmp(e->d_name + len - 5, ".toml") == 0;
}

struct name_list {
    struct dirent **names = nullptr;
    int count = 0;

    ~name_list()
    {
        for (int i = 0; i < count; i++)
            free(names[i]);
        free(names);
    }
};

int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

json_t *parse_dir(const char *path, flux_error_t *error)
{
    json_ptr all = check(json_object());
    name_list list;

    if ((list.count = scandir(path, &list.names, is_toml, by_name)) < 0) {
        list.count = 0;
        errorx_set(error, "%s: %s", path, strerror(errno));
        return nullptr;
    }
    for (int i = 0; i < list.count; i++) {
        std::string name = std::string(path) + "/" + list.names[i]->d_name;
        json_ptr o(toml_parse_file(name.c_str(), error));

        if (!o)
            return nullptr;
        merge(all.get(), o.get());
    }
    return all.release();
}

} // namespace

json_t *toml_parse_string(const char *text, size_t len, flux_error_t *error)
{
    return parse(text, len, "input", error);
}

json_t *toml_parse_file(const char *path, flux_error_t *error)
{
    try {
        std::string text;
        int rc = slurp(path, text, error);

        if (rc < 0) {
            errno = -rc;
            return nullptr;
        }
        return parse(text.data(), text.size(), path, error);
    } catch (...) {
        errorx_set(error, "%s: out of memory", path);
        errno = ENOMEM;
        return nullptr;
    }
}

json_t *toml_parse_dir(const char *path, flux_error_t *error)
{
    try {
        return parse_dir(path, error);
    } catch (...) {
        errorx_set(error, "%s: out of memory", path);
        errno = ENOMEM;
        return nullptr;
    }
}
