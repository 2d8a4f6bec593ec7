/* All the SCM_RIGHTS code there is: unix(7), cmsg(3).  The setuid helper and the Cython extension both compile it. */
#ifndef LOCALD_FDPASS_H
#define LOCALD_FDPASS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { FDPASS_MAX = 253 }; /* descriptors in one message: SCM_MAX_FD of Linux */
/* That may come all the same: XNU's sockargs() takes one more, and leaks what has no room. */
enum { FDPASS_ROOM = 254 };

/* Sends size >= 1 bytes with nfds descriptors on the first.  Returns the bytes sent, or -1 and errno; EINTR is the
 * caller's to retry, who may have signals to handle first.  Never raises SIGPIPE. */
ssize_t fdpass_send(int sock, const void *data, size_t size, const int *fds, size_t nfds, int flags);

/* Receives at most size bytes and maxfds descriptors, all close-on-exec: from the start where the system can, at
 * once where not.  Returns the bytes received, 0 at the end of the stream, or -1 and errno: EMSGSIZE for a truncated
 * message, EBADMSG for a control message that is malformed or not SCM_RIGHTS, ETOOMANYREFS for more than maxfds
 * descriptors.  After an error every descriptor that came is closed, and *nfds is 0. */
ssize_t fdpass_recv(int sock, void *buf, size_t size, int *fds, size_t maxfds, size_t *nfds, int flags);

/* Copies the descriptors of all control messages to out.  Returns 0, or the errno to report; *count is right in either
 * case, so that the caller can close them.  Pure. */
int fdpass_collect(const struct msghdr *msg, int out[FDPASS_ROOM], size_t *count);

#endif
