/* Every system call of the helper, asked of the fake kernel in darwin.py: the linker's --wrap puts these in place of the
 * C library's.  The helper itself is compiled as it is, but for the name of its main(). */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { END = INT_MIN }; /* the kernel's answer when the process has come to its end */

static long (*kernel)(const char *name, const long *arguments);
static jmp_buf end;

static long ask(const char *name, const long *arguments)
{
    const long result = kernel(name, arguments);

    if (result == END)
        longjmp(end, 1);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* Runs the helper to its end. */
int shim_main(int argc, char *argv[]);
void darwin_run(long (*with)(const char *, const long *), int argc, char *argv[])
{
    kernel = with;
    errno = 0;
    if (setjmp(end) == 0)
        (void)shim_main(argc, argv);
}

#define CALL(type, name, parameters, ...)                         \
    type __wrap_##name parameters;                                \
    type __wrap_##name parameters                                 \
    {                                                             \
        return (type)ask(#name, (const long[]){__VA_ARGS__, 0});  \
    }

CALL(uid_t, getuid, (void), 0)
CALL(uid_t, geteuid, (void), 0)
CALL(gid_t, getgid, (void), 0)
CALL(gid_t, getegid, (void), 0)
CALL(int, setuid, (uid_t uid), uid)
CALL(int, seteuid, (uid_t uid), uid)
CALL(int, setreuid, (uid_t real, uid_t effective), real, effective)
CALL(int, setgid, (gid_t gid), gid)
CALL(int, setegid, (gid_t gid), gid)
CALL(int, setregid, (gid_t real, gid_t effective), real, effective)

CALL(int, setitimer, (int which, const struct itimerval *value, struct itimerval *old), which, (long)value, (long)old)
CALL(int, sigaction, (int number, const struct sigaction *new, struct sigaction *old), number, (long)new, (long)old)
CALL(int, sigprocmask, (int how, const sigset_t *set, sigset_t *old), how, (long)set, (long)old)
CALL(unsigned, alarm, (unsigned seconds), seconds)
CALL(void, _exit, (int code), code)

CALL(int, open, (const char *path, int flags, ...), (long)path, flags)
CALL(int, openat, (int folder, const char *path, int flags, ...), folder, (long)path, flags)
CALL(ssize_t, read, (int fd, void *out, size_t size), fd, (long)out, (long)size)
CALL(ssize_t, write, (int fd, const void *data, size_t size), fd, (long)data, (long)size)
CALL(int, close, (int fd), fd)
CALL(int, fcntl, (int fd, int command, ...), fd, command)

CALL(int, socket, (int family, int type, int protocol), family, type, protocol)
CALL(int, bind, (int fd, const void *name, socklen_t size), fd, (long)name, size)
CALL(int, listen, (int fd, int backlog), fd, backlog)
CALL(int, getsockname, (int fd, void *name, socklen_t *size), fd, (long)name, (long)size)
CALL(int, getpeereid, (int fd, uid_t *uid, gid_t *gid), fd, (long)uid, (long)gid)
CALL(int, getsockopt, (int fd, int level, int option, void *out, socklen_t *size), fd, level, option, (long)out, (long)size)
CALL(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size), fd, level, option, (long)value, size)
CALL(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), fd, (long)message, flags)

/* Those two take apart what only C has the layout of. */
#undef CALL
#define CALL(type, name, parameters) \
    type __wrap_##name parameters;   \
    type __wrap_##name parameters

CALL(int, fstat, (int fd, struct stat *out))
{
    struct {
        long mode, uid, links, size;
    } seen = {.links = 0};

    const long result = ask("fstat", (const long[]){fd, (long)&seen});
    if (seen.links > 0) {
        memset(out, 0, sizeof *out);
        out->st_mode = (mode_t)seen.mode;
        out->st_uid = (uid_t)seen.uid;
        out->st_nlink = (nlink_t)seen.links;
        out->st_size = seen.size;
    }
    return (int)result;
}

CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags))
{
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    const size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    int first;

    memcpy(&first, CMSG_DATA(head), sizeof first);
    return ask("sendmsg", (const long[]){fd, flags, (long)message->msg_iov->iov_base, (long)message->msg_iov->iov_len,
                                         head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS, (long)count, first});
}
