/* bind(2), for programs that bind by themselves: the system's own first, and the helper where that is refused for a TCP
 * port below 1024.
 *
 * The program notices nothing but a bind() that takes a millisecond.  Its descriptor keeps number, flags and options;
 * what is behind it is another socket, so that copies made before by dup(2) or by a fork, and what epoll(7) was told
 * of it, stay with the old one.  Every other call, every other port and every other socket is the system's alone. */
#include "preload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

unsigned name_port(const union name *name)
{
    return ntohs(name->any.sa_family == AF_INET ? name->in.sin_port : name->in6.sin6_port);
}

int name_is_wildcard(const union name *name)
{
    if (name->any.sa_family == AF_INET)
        return name->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&name->in6.sin6_addr);
}

int name_of(int fd, union name *out)
{
    socklen_t size = sizeof *out;

    memset(out, 0, sizeof *out);
    return getsockname(fd, &out->any, &size);
}

int name_same(const union name *one, const union name *other)
{
    if (one->any.sa_family != other->any.sa_family || name_port(one) != name_port(other))
        return 0;
    if (one->any.sa_family == AF_INET)
        return one->in.sin_addr.s_addr == other->in.sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&one->in6.sin6_addr, &other->in6.sin6_addr);
}

/* Whether the helper could serve this: a TCP socket that was never bound, a port below 1024, an address without a
 * scope, which the helper's command line cannot express.  The system says EACCES before it looks at the socket's
 * state. */
static int is_for_the_helper(int fd, const struct sockaddr *address, socklen_t size, union name *wanted)
{
    union name now;
    int type = 0;
    socklen_t length = sizeof type;

    memset(wanted, 0, sizeof *wanted);
    memcpy(wanted, address, size < sizeof *wanted ? size : sizeof *wanted);
    if (wanted->any.sa_family != AF_INET && wanted->any.sa_family != AF_INET6)
        return 0;
    if (name_port(wanted) == 0 || name_port(wanted) > PORT_MAX)
        return 0;
    if (wanted->any.sa_family == AF_INET6 && wanted->in6.sin6_scope_id != 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM || !os_is_tcp(fd))
        return 0;
    return name_of(fd, &now) == 0 && now.any.sa_family == wanted->any.sa_family;
}

static void map_to_loopback(union name *name)
{
    if (name->any.sa_family == AF_INET)
        name->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        name->in6.sin6_addr = in6addr_loopback;
}

/* Put the listener under the program's number.  The number may be another file's by now, if another thread closed it
 * meanwhile: a program with that fault shall not lose the other file to us. */
static int put_in_place(int listener, int fd, const struct stat *before)
{
    struct stat now;
    const int flags = fcntl(fd, F_GETFD);

    if (flags < 0 || fstat(fd, &now) != 0 || now.st_dev != before->st_dev || now.st_ino != before->st_ino)
        return -1;
    return os_replace(listener, fd, flags) < 0 ? -1 : 0;
}

/* What bind(2) would have answered. */
static int errno_of(enum answer answer)
{
    switch (answer) {
    case GRANTED:
        return 0;
    case IN_USE:
        return EADDRINUSE;
    case NO_ADDRESS:
        return EADDRNOTAVAIL;
    case NO_ROOM:
        return ENOBUFS;
    default:
        return EACCES;
    }
}

static enum answer take(int fd, const union name *wanted)
{
    struct stat before;
    int listener = -1;

    if (fstat(fd, &before) != 0)
        return WRONG;
    const enum answer answer = ask_helper(wanted, &listener);
    if (answer != GRANTED)
        return answer;
    const int stopped = os_stop_listening(listener);
    options_copy(fd, listener);
    const int placed = stopped == 0 ? put_in_place(listener, fd, &before) : -1;
    (void)close(listener);
    return placed == 0 ? GRANTED : WRONG;
}

static enum answer serve(int fd, union name *wanted)
{
    struct calm calm;

    if (wanted->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&wanted->in6.sin6_addr))
        return MAPPED; /* it needs a socket of the other family, under a number that is known to be of this */
    if (settings.loopback && name_is_wildcard(wanted))
        map_to_loopback(wanted);
    calm_begin(&calm);
    const enum answer answer = take(fd, wanted);
    calm_end(&calm);
    return answer;
}

int preload_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    const int before = errno;
    union name wanted, now;

    const int result = os_bind(fd, address, size);
    if (result == 0 || errno != EACCES || !settings.active)
        return result;
    if (!is_for_the_helper(fd, address, size, &wanted)) {
        errno = EACCES;
        return -1;
    }
    if (name_of(fd, &now) == 0 && name_port(&now) != 0) {
        errno = EINVAL; /* bound or connected already: what the privileged are told */
        return -1;
    }
    const enum answer answer = serve(fd, &wanted);
    say_refused(answer, &wanted);
    errno = answer == GRANTED ? before : errno_of(answer);
    return answer == GRANTED ? 0 : -1;
}
