/* The socket that we are given, and the one that we give.
 *
 * The listener is made by the caller's own uid (one made by root shows uid 0 in the system's tables, and on XNU skips the
 * check against theft), only bind() is done under privilege, and it listens before anybody gets it: two sockets with
 * SO_REUSEADDR may both be bound until one of them listens.  Never SO_REUSEPORT, for the same reason. */
#include "os.h"
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the system cuts it down to its own limit */

/* What the system fills in starts as what no check accepts: then even a call that lies about its success opens nothing. */
static int option_is(int fd, int level, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, level, option, &value, &size) == 0 && value == wanted;
}

int stream_is_of(int fd, uid_t uid)
{
    struct sockaddr_un name = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof name;
    uid_t peer = (uid_t)-1;

    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0 || name.sun_family != AF_UNIX)
        return 0;
    return option_is(fd, SOL_SOCKET, SO_TYPE, SOCK_STREAM) && os_peer(fd, &peer) == 0 && peer == uid;
}

static enum code code_of(int number)
{
    switch (number) {
    case EADDRINUSE:
        return IN_USE;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return NO_ADDRESS;
    case EACCES:
    case EPERM:
        return NO_PRIVILEGE;
    default:
        return SYSTEM;
    }
}

union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t name_of(const struct request *request, union name *out)
{
    memset(out, 0, sizeof *out);
    out->any.sa_family = (sa_family_t)request->address.family;
    if (request->address.family == AF_INET) {
        out->in.sin_port = htons(request->port);
        memcpy(&out->in.sin_addr, request->address.bytes, sizeof out->in.sin_addr);
        return sizeof out->in;
    }
    out->in6.sin6_port = htons(request->port);
    memcpy(&out->in6.sin6_addr, request->address.bytes, sizeof out->in6.sin6_addr);
    return sizeof out->in6;
}

/* Whether the socket has that name and no other. */
static int is_named(int fd, const union name *wanted, socklen_t size)
{
    union name name = {.any = {.sa_family = AF_UNSPEC}};

    if (getsockname(fd, &name.any, &size) != 0 || name.any.sa_family != wanted->any.sa_family)
        return 0;
    /* The port and all that follows it; before it, BSD has a length where Linux has half of the family. */
    const size_t skip = offsetof(struct sockaddr_in, sin_port);
    return memcmp((char *)&name + skip, (const char *)wanted + skip, size - skip) == 0;
}

enum code listener_open(const struct request *request, int *out)
{
    const int on = 1, family = request->address.family;
    union name name;
    const socklen_t size = name_of(request, &name);

    const int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0)
        return code_of(errno);
    if (fd <= STDERR_FILENO || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return SYSTEM;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return SYSTEM;
    if (os_bind(fd, &name.any, size) != 0 || listen(fd, BACKLOG) != 0)
        return code_of(errno);
    *out = fd;
    return is_named(fd, &name, size) && option_is(fd, os_listen_level, os_listen_option, 1) ? GRANTED : SYSTEM;
}
