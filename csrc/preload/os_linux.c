/* Linux: bind(2) is found by the loader before the C library's, and the helper is started by a process apart.
 *
 * That process is why the program sees nothing of it.  A child whose end raises no signal is not waited for by wait(2)
 * and waitpid(2) of the program, in whatever thread (clone(2), __WCLONE), and cannot be taken from us by one of them
 * either; nor does SIGCHLD come, nor its being ignored reap the child before we do.  But exec(2) makes an ordinary
 * child of it: so it executes nothing, and starts the helper as a child of its own, waits for it and ends with its
 * code.  A second fork and an early end would hide the helper too, and lose its exit code, which is the reason of a
 * refusal.
 *
 * It is a copy and no vfork(2): we go on beside it, to receive what the helper sends.  It has no descriptor of the
 * program's, and it calls nothing but what a signal handler may call. */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* of Linux 5.9, everywhere the same; older headers do not know it */
#endif

enum { STACK = 16 * 1024 };

#ifndef LOCALD_HELPER /* by LOCALD_SHIM, where a package of the system has it */
#define LOCALD_HELPER "/usr/local/libexec/locald/locald-shim"
#endif
_Static_assert(sizeof LOCALD_HELPER <= HELPER_MAX, "room for its path");
const char os_helper[] = LOCALD_HELPER;
const char os_policy[] = "/etc/locald/ports";
const char os_variable[] = "LD_PRELOAD";
const int os_buffer_factor = 2; /* socket(7), SO_RCVBUF */
const struct option os_options[] = {
    {SOL_SOCKET, SO_PRIORITY},        {SOL_SOCKET, SO_BINDTODEVICE},    {SOL_SOCKET, SO_ZEROCOPY},
    {IPPROTO_TCP, TCP_CORK},          {IPPROTO_TCP, TCP_KEEPIDLE},      {IPPROTO_TCP, TCP_SYNCNT},
    {IPPROTO_TCP, TCP_LINGER2},       {IPPROTO_TCP, TCP_DEFER_ACCEPT},  {IPPROTO_TCP, TCP_WINDOW_CLAMP},
    {IPPROTO_TCP, TCP_CONGESTION},    {IPPROTO_TCP, TCP_USER_TIMEOUT},  {IPPROTO_TCP, TCP_FASTOPEN},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT}, {IPPROTO_IP, IP_MTU_DISCOVER},    {IPPROTO_IP, IP_MINTTL},
    {IPPROTO_IP, IP_FREEBIND},        {IPPROTO_IP, IP_RECVERR},         {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_RECVERR},     {IPPROTO_IPV6, IPV6_RECVPKTINFO}, {-1, 0},
};

typedef int bind_call(int, const struct sockaddr *, socklen_t);

/* What the program calls. */
__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return preload_bind(fd, address, size);
}

/* The next one in the loader's order: the C library's, or that of another library which was preloaded too. */
static bind_call *find_next(void)
{
    /* ISO C knows no way from an object's pointer to a function's; POSIX demands that they are alike. */
    const union {
        void *symbol;
        bind_call *call;
    } found = {.symbol = dlsym(RTLD_NEXT, "bind")};

    return found.call;
}

static bind_call *next;

/* dlsym(3) takes locks, so it is called before there are threads and signals, and not in bind(). */
__attribute__((constructor)) static void find_next_early(void)
{
    next = find_next();
}

int os_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    /* A constructor of another library may bind before ours has run. */
    bind_call *const call = next != NULL ? next : find_next();

    return call != NULL ? call(fd, address, size) : (int)syscall(SYS_bind, fd, address, size);
}

int os_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;

    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

int os_listens(int fd)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1;
}

/* A program that has called bind() and not yet listen() answers nobody, and may connect(2) from its port instead: on a
 * listener shutdown(2) takes back what listen(2) did, and the name stays. */
int os_stop_listening(int fd)
{
    union name before, after;

    if (name_of(fd, &before) != 0 || shutdown(fd, SHUT_RD) != 0)
        return -1;
    return !os_listens(fd) && name_of(fd, &after) == 0 && name_same(&before, &after) ? 0 : -1;
}

int os_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

int os_replace(int from, int to, int flags)
{
    return dup3(from, to, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
}

char **os_environ(void)
{
    return environ;
}

struct command {
    char *const *argv;
};

static int execute(void *argument)
{
    const struct command *const command = argument;
    char *const nothing[] = {NULL};

    (void)execve(command->argv[0], command->argv, nothing);
    _exit(127);
}

/* The process apart: standard input is the helper's socket, and there is no other descriptor. */
static _Noreturn void attend(char *const argv[], int theirs, int ours)
{
    _Alignas(16) unsigned char stack[STACK];
    struct command command = {.argv = argv};
    int status = 0;

    /* A group of its own, which os_kill() ends: the helper's pid is known here only. */
    (void)setpgid(0, 0);
    (void)signal(SIGCHLD, SIG_DFL); /* where the program ignores it, the exit code would be lost */
    if (dup2(theirs, STDIN_FILENO) < 0)
        _exit(127);
    (void)close(theirs);
    (void)close(ours);
    const int null = open("/dev/null", O_RDWR); /* may be 1 or 2 already, and is to stay open */
    if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
        _exit(127);
    (void)syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, 0);
    /* As posix_spawn(3) does, which may allocate: this process stands still until the helper is executed. */
    const pid_t helper = clone(execute, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &command);
    if (helper < 0 || waitpid(helper, &status, 0) != helper)
        _exit(127);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 127);
}

pid_t os_start(char *const argv[], int theirs, int ours)
{
    /* fork(2) as the kernel has it, without a signal at its end and without handlers that the program registered. */
    const pid_t pid = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);

    if (pid == 0)
        attend(argv, theirs, ours);
    return pid;
}

void os_kill(pid_t pid)
{
    (void)kill(-pid, SIGKILL); /* allowed: after its drop the helper is the caller's own process */
    (void)kill(pid, SIGKILL);
}

int os_wait(pid_t pid)
{
    int status = 0;
    pid_t found;

    do
        found = waitpid(pid, &status, (int)__WCLONE);
    while (found < 0 && errno == EINTR);
    return found == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
