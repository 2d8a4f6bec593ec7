/* See fdpass.h. */
#include "fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* What one system has and the other has not. */
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Always room for the most there can be: a message of too many must be seen as such, and closed.  Linux would
 * drop what does not fit, XNU would leave it open and unseen. */
union control {
    struct cmsghdr align;
    unsigned char bytes[CMSG_SPACE(sizeof(int) * FDPASS_ROOM)];
};

ssize_t fdpass_send(int sock, const void *data, size_t size, const int *fds, size_t nfds, int flags)
{
    union control control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (size == 0 || nfds > FDPASS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (nfds > 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * nfds); /* size_t with glibc, socklen_t elsewhere */
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * nfds);
    }
#ifdef SO_NOSIGPIPE
    int on = 1;
    (void)setsockopt(sock, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
}

/* Without CMSG_NXTHDR, which leaves a length that is too long to the kernel's good will: each C library checks another
 * part of it, or none.  Here every read lies within msg_controllen, whatever the bytes are: see fuzz/prove. */
int fdpass_collect(const struct msghdr *msg, int out[FDPASS_ROOM], size_t *count)
{
    const unsigned char *const bytes = msg->msg_control;
    const size_t size = msg->msg_controllen;
    int verdict = 0;

    *count = 0;
    for (size_t at = 0; at < size && size - at >= CMSG_LEN(0);) {
        struct cmsghdr head;
        memcpy(&head, bytes + at, sizeof head);
        const size_t data = at + CMSG_LEN(0), end = at + head.cmsg_len;
        if (end < data || end > size)
            return EBADMSG; /* where the next one starts, nobody knows */
        if (head.cmsg_level != SOL_SOCKET || head.cmsg_type != SCM_RIGHTS)
            verdict = EBADMSG; /* descriptors may still follow, and must be closed */
        else
            for (size_t i = data; i + sizeof(int) <= end; i += sizeof(int)) {
                if (*count == FDPASS_ROOM)
                    return ETOOMANYREFS;
                memcpy(&out[(*count)++], bytes + i, sizeof(int));
            }
        at += CMSG_SPACE(end - data);
    }
    return verdict;
}

static int refuse(const int *fds, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
    errno = code;
    return -1;
}

ssize_t fdpass_recv(int sock, void *buf, size_t size, int *fds, size_t maxfds, size_t *nfds, int flags)
{
    union control control;
    struct iovec iov = {.iov_base = buf, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int came[FDPASS_ROOM];
    size_t count;

    *nfds = 0;
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_LEN(sizeof(int) * FDPASS_ROOM);
    ssize_t got = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return -1;
    int verdict = fdpass_collect(&msg, came, &count);
    if (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
        verdict = EMSGSIZE;
    else if (verdict == 0 && count > maxfds)
        verdict = ETOOMANYREFS;
    if (verdict != 0)
        return refuse(came, count, verdict);
    for (size_t i = 0; MSG_CMSG_CLOEXEC == 0 && i < count; i++)
        if (fcntl(came[i], F_SETFD, FD_CLOEXEC) != 0)
            return refuse(came, count, errno);
    memcpy(fds, came, count * sizeof(int));
    *nfds = count;
    return got;
}
