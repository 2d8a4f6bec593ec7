/* What the two systems do differently: one contract, one file for each. */
#ifndef LOCALD_SHIM_OS_H
#define LOCALD_SHIM_OS_H

#include <sys/socket.h>
#include <sys/types.h>

extern const char os_policy_folder[];
extern const int os_nofollow; /* open(2) flag: no symbolic link, in as much of the path as the system can refuse */
extern const int os_listen_level, os_listen_option; /* getsockopt(2): 1 of a TCP socket that listens */

/* Become the caller, keeping at most the power to bind a low port.  1 with that power, 0 without any, -1 when the drop
 * cannot be proven: then the only thing left to do is to exit. */
int os_drop(void);

/* bind(2) under that power, and nothing else under it. */
int os_bind(int fd, const struct sockaddr *address, socklen_t size);

/* Give the power up for good.  0, or -1 when that cannot be proven. */
int os_renounce(void);

/* From here on the kernel kills us for anything but sending, receiving and exiting.  0 or -1. */
int os_confine(void);

/* The uid of the process at the other end of a connected Unix stream socket.  0, or -1 where there is none. */
int os_peer(int fd, uid_t *uid);

#endif
