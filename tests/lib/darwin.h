/* The helper's view of macOS, where it is compiled for the fake one of darwin.py: included before all else.
 * What XNU has and Linux has not, with the SDK's numbers; and what Linux has and XNU has not is taken away. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/types.h>

#undef MSG_CMSG_CLOEXEC
#undef MSG_NOSIGNAL

#define O_NOFOLLOW_ANY 0x20000000
#define SO_NOSIGPIPE 0x1022
#define TCP_CONNECTION_INFO 0x106

int getpeereid(int fd, uid_t *uid, gid_t *gid);
