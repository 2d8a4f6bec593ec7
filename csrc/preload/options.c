/* What the program said of its socket before bind(), said again of the one that it gets: fcntl(2), socket(7), tcp(7),
 * ip(7), ipv6(7).
 *
 * Only what differs is set: a buffer that was never asked for goes on to grow and shrink by itself, which it would not
 * once it had been set.  IPV6_V6ONLY is not among them: it is fixed once a socket is bound, and on for a single
 * address. */
#include "preload.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>

enum { VALUE_MAX = 64 }; /* bytes: names of interfaces and of congestion controls are the longest */

static const struct option options[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_SNDTIMEO},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_MAXSEG},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {-1, 0},
};

static void copy(const struct option *option, int from, int to)
{
    union {
        int number;
        unsigned char bytes[VALUE_MAX];
    } old, new;
    socklen_t size = sizeof old, other = sizeof new;

    memset(&old, 0, sizeof old);
    memset(&new, 0, sizeof new);
    if (getsockopt(from, option->level, option->name, &old, &size) != 0)
        return;
    if (getsockopt(to, option->level, option->name, &new, &other) != 0)
        return;
    if (size == other && memcmp(&old, &new, size) == 0)
        return;
    if (option->level == SOL_SOCKET && (option->name == SO_RCVBUF || option->name == SO_SNDBUF))
        old.number /= os_buffer_factor;
    (void)setsockopt(to, option->level, option->name, &old, size);
}

static void copy_all(const struct option *list, int from, int to)
{
    for (; list->level != -1; list++)
        copy(list, from, to);
}

/* Close-on-exec is not a flag of the socket but of the number: os_replace() keeps it. */
static void copy_flags(int from, int to)
{
    const int flags = fcntl(from, F_GETFL);

    if (flags < 0)
        return;
    if (flags & O_ASYNC)
        (void)fcntl(to, F_SETOWN, fcntl(from, F_GETOWN));
    (void)fcntl(to, F_SETFL, flags);
}

void options_copy(int from, int to)
{
    copy_all(options, from, to);
    copy_all(os_options, from, to);
    copy_flags(from, to);
}
