/* macOS: the loader is told by a section which call is to go where, and the helper is started by posix_spawn(2).
 *
 * The system has no child that the program would not see: a program that waits for any of its children may be given
 * the helper's pid once, and SIGCHLD is raised once.  If it was faster than us, the reason of a refusal is lost, and
 * no more. posix_spawn(2) allocates, so bind() is not to be called in a signal handler here; nobody was ever seen to
 * do that. */
#include "preload.h"

#include <crt_externs.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef LOCALD_HELPER /* by LOCALD_SHIM, where a package of the system has it */
#define LOCALD_HELPER "/Library/PrivilegedHelperTools/locald-shim"
#endif
_Static_assert(sizeof LOCALD_HELPER <= HELPER_MAX, "room for its path");
const char os_helper[] = LOCALD_HELPER;
const char os_policy[] = "/private/etc/locald/ports";
const char os_variable[] = "DYLD_INSERT_LIBRARIES";
const int os_buffer_factor = 1;
const struct option os_options[] = {
    {SOL_SOCKET, SO_NOSIGPIPE},
    {IPPROTO_TCP, TCP_KEEPALIVE},
    {IPPROTO_TCP, TCP_NOPUSH},
    {IPPROTO_TCP, TCP_NOOPT},
    {IPPROTO_TCP, TCP_CONNECTIONTIMEOUT},
    {IPPROTO_TCP, TCP_FASTOPEN},
    {-1, 0},
};

/* dyld(1), <mach-o/dyld-interposing.h>.  What this library calls itself is not interposed. */
__attribute__((used, section("__DATA,__interpose"))) static const struct {
    int (*ours)(int, const struct sockaddr *, socklen_t);
    int (*theirs)(int, const struct sockaddr *, socklen_t);
} interposed = {preload_bind, bind};

int os_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return bind(fd, address, size);
}

int os_is_tcp(int fd)
{
    (void)fd;
    return 1; /* of the Internet's streams there are no others */
}

int os_listens(int fd)
{
    /* SO_ACCEPTCONN is unknown here; struct tcp_connection_info begins with the state. */
    struct tcp_connection_info info = {0};
    socklen_t size = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_CONNECTION_INFO, &info, &size) == 0 && info.tcpi_state == 1;
}

int os_stop_listening(int fd)
{
    (void)fd;
    return 0; /* not to be had: the program's own listen(2) is the second */
}

int os_pair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return -1;
    for (int i = 0; i < 2; i++)
        (void)fcntl(pair[i], F_SETFD, FD_CLOEXEC);
    return 0;
}

int os_replace(int from, int to, int flags)
{
    const int result = dup2(from, to);

    if (result >= 0)
        (void)fcntl(to, F_SETFD, flags);
    return result;
}

char **os_environ(void)
{
    return *_NSGetEnviron();
}

pid_t os_start(char *const argv[], int theirs, int ours)
{
    char *const nothing[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid = -1;

    (void)ours; /* close-on-exec, as all is: POSIX_SPAWN_CLOEXEC_DEFAULT */
    (void)sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    if (posix_spawnattr_setflags(&attributes, POSIX_SPAWN_CLOEXEC_DEFAULT | POSIX_SPAWN_SETSIGMASK) != 0 ||
        posix_spawnattr_setsigmask(&attributes, &none) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, theirs, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, 1, 2) != 0 ||
        posix_spawn(&pid, os_helper, &actions, &attributes, argv, nothing) != 0)
        pid = -1;
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

void os_kill(pid_t pid)
{
    (void)kill(pid, SIGKILL);
}

int os_wait(pid_t pid)
{
    int status = 0;
    pid_t found;

    do
        found = waitpid(pid, &status, 0);
    while (found < 0 && errno == EINTR);
    return found == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
