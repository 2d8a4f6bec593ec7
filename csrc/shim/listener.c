/* A listening socket for the request.
 *
 * The socket is made by the caller's own uid (one made by root shows uid 0 in the system's tables, and on XNU skips the
 * check against theft), only bind() is done under privilege, and it listens before anybody gets it: two sockets with
 * SO_REUSEADDR may both be bound until one of them listens.  Never SO_REUSEPORT, for the same reason. */
#include "os.h"
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the system cuts it down to its own limit */

static enum code code_of(int number)
{
    switch (number) {
    case EADDRINUSE: return IN_USE;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return NO_ADDRESS;
    case EACCES:
    case EPERM: return NO_PRIVILEGE;
    default: return SYSTEM;
    }
}

static int bind_to(int fd, const struct request *request)
{
    if (request->address.family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(request->port)};
        memcpy(&in.sin_addr, request->address.bytes, sizeof in.sin_addr);
        return os_bind(fd, (const struct sockaddr *)&in, sizeof in);
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(request->port)};
    memcpy(&in6.sin6_addr, request->address.bytes, sizeof in6.sin6_addr);
    return os_bind(fd, (const struct sockaddr *)&in6, sizeof in6);
}

enum code listener_open(const struct request *request, int *out)
{
    const int on = 1;
    int fd = socket(request->address.family, SOCK_STREAM, 0);

    if (fd < 0)
        return code_of(errno);
    if (fd <= STDERR_FILENO)
        return SYSTEM;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return SYSTEM;
    if (request->address.family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return SYSTEM;
    if (bind_to(fd, request) != 0 || listen(fd, BACKLOG) != 0)
        return code_of(errno);
    *out = fd;
    return GRANTED;
}
