/* macOS: there are no capabilities, so root is set aside first, taken up for bind() alone, and then given up for good.
 * setuid(2), getpeereid(3).  XNU's setuid() sets all three ids only while the effective one is 0. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

const char os_policy_folder[] = "/private/etc/locald";
const int os_nofollow = O_NOFOLLOW_ANY;
/* XNU's getsockopt(2) does not know SO_ACCEPTCONN.  struct tcp_connection_info begins with the state, and of a listener
 * that is TCPS_LISTEN, 1, and three bytes of 0. */
const int os_listen_level = IPPROTO_TCP, os_listen_option = TCP_CONNECTION_INFO;

int os_drop(void)
{
    const uid_t uid = getuid();
    const gid_t gid = getgid();
    const int power = uid != 0 && geteuid() == 0;

    if (setegid(gid) != 0 || seteuid(uid) != 0 || geteuid() != uid || getegid() != gid)
        return -1;
    if (power)
        return 1;
    /* No root to come back to: whatever else the program file gave goes at once.  setuid(2) would leave the saved id. */
    return setregid(gid, gid) == 0 && setreuid(uid, uid) == 0 && geteuid() == uid && getegid() == gid ? 0 : -1;
}

int os_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    if (seteuid(0) != 0)
        return -1;
    /* Whatever came of it, root goes now, for good.  os_renounce() ends with a call that must fail and sets errno; what
     * is to be told is why bind() failed, or with EIO, which bind() has no use for, that root could not be given up. */
    const int result = bind(fd, address, size), why = errno, gone = os_renounce() == 0;
    errno = gone ? why : EIO;
    return gone ? result : -1;
}

int os_renounce(void)
{
    const uid_t uid = getuid();
    const gid_t gid = getgid();

    /* The effective group is the caller's since os_drop().  The group goes first: that takes root. */
    if (getegid() != gid || (geteuid() == 0 && (setgid(gid) != 0 || setuid(uid) != 0)))
        return -1;
    if (getuid() != uid || geteuid() != uid || getgid() != gid || getegid() != gid)
        return -1;
    return seteuid(0) == 0 ? -1 : 0;
}

int os_confine(void)
{
    return 0; /* macOS has no stable filter for system calls */
}

int os_peer(int fd, uid_t *uid)
{
    gid_t group;

    return getpeereid(fd, uid, &group); /* ENOTCONN of a listener */
}
