/* See ready.h. */
#include "ready.h"

#include <stddef.h>

#ifdef __APPLE__

#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>
#include <sys/types.h>

int ready_open(void)
{
    const int queue = kqueue();

    if (queue >= 0)
        (void)fcntl(queue, F_SETFD, FD_CLOEXEC); /* it cannot fail for a descriptor that is open */
    return queue;
}

void ready_leave(int queue)
{
    (void)queue; /* a kqueue is not inherited, and its number may be another's there */
}

int ready_watch(int queue, int fd, int before, int now)
{
    struct kevent changes[2];
    int count = 0;

    if ((before ^ now) & READY_READ)
        EV_SET(&changes[count++], fd, EVFILT_READ, now & READY_READ ? EV_ADD : EV_DELETE, 0, 0, NULL);
    if ((before ^ now) & READY_WRITE)
        EV_SET(&changes[count++], fd, EVFILT_WRITE, now & READY_WRITE ? EV_ADD : EV_DELETE, 0, 0, NULL);
    return kevent(queue, changes, count, NULL, 0, NULL);
}

int ready_poll(int queue, struct ready *found, int most)
{
    const struct timespec at_once = {0, 0};
    struct kevent events[READY_MOST];
    const int count = kevent(queue, NULL, 0, events, most, &at_once);

    for (int i = 0; i < count; i++)
        found[i] = (struct ready){(int)events[i].ident, events[i].filter == EVFILT_READ ? READY_READ : READY_WRITE};
    return count;
}

#else

#include <sys/epoll.h>
#include <unistd.h>

int ready_open(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

void ready_leave(int queue)
{
    (void)close(queue);
}

int ready_watch(int queue, int fd, int before, int now)
{
    struct epoll_event event = {.data.fd = fd};

    if (now & READY_READ)
        event.events |= EPOLLIN;
    if (now & READY_WRITE)
        event.events |= EPOLLOUT;
    return epoll_ctl(queue, now ? (before ? EPOLL_CTL_MOD : EPOLL_CTL_ADD) : EPOLL_CTL_DEL, fd, &event);
}

int ready_poll(int queue, struct ready *found, int most)
{
    struct epoll_event events[READY_MOST];
    const int count = epoll_wait(queue, events, most, 0);

    for (int i = 0; i < count; i++) {
        const int what = events[i].events == EPOLLIN    ? READY_READ
                         : events[i].events == EPOLLOUT ? READY_WRITE
                                                        : READY_READ | READY_WRITE;
        found[i] = (struct ready){events[i].data.fd, what};
    }
    return count;
}

#endif
