/* One conversation with locald-shim, as locald/shim.py has it: DESIGN, "The privilege contract".
 *
 * Nothing in here allocates, and all of it is bounded in time.  An exit status of 0 proves nothing; a descriptor counts
 * when it is the listener that was asked for. */
#include "../fdpass.h"
#include "preload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether there is something to read, or an end, before the deadline. */
static int readable(int fd, int64_t deadline)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    for (;;) {
        const int64_t left = deadline - now_ms();
        const int found = poll(&one, 1, left > 0 ? (int)left : 0);
        if (found >= 0 || errno != EINTR)
            return found > 0;
    }
}

/* Root's, and root's alone to write.  Whether it has its power, it says itself. */
static enum answer verify_installed(void)
{
    struct stat seen;

    if (lstat(os_helper, &seen) != 0)
        return NOT_INSTALLED;
    if (!S_ISREG(seen.st_mode) || seen.st_uid != 0)
        return NOT_ROOTS;
    return seen.st_mode & (S_IWGRP | S_IWOTH) ? OPEN_TO_OTHERS : GRANTED;
}

char *decimal(unsigned number, char text[DECIMAL])
{
    size_t at = DECIMAL - 1;

    text[at] = 0;
    do
        text[--at] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return text + at;
}

/* Standard input, output and error output of the helper are 0, 1 and 2: a program that has closed its own would get its
 * ends of the pair there. */
static int out_of_the_way(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] > STDERR_FILENO)
            continue;
        const int moved = fcntl(pair[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (moved < 0)
            return -1;
        (void)close(pair[i]);
        pair[i] = moved;
    }
    return 0;
}

static int is_the_one(int fd, const union name *wanted)
{
    union name name;
    int type = 0;
    socklen_t size = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
        return 0;
    return name_of(fd, &name) == 0 && name_same(&name, wanted) && os_listens(fd);
}

/* GRANTED and the listener; SYSTEM when nothing came, and the exit code says why. */
static enum answer receive(int ours, const union name *wanted, int *listener, int64_t deadline)
{
    unsigned char byte = 0;
    size_t count = 0;
    int fd = -1;

    if (!readable(ours, deadline))
        return SILENT;
    const ssize_t got = fdpass_recv(ours, &byte, 1, &fd, 1, &count, 0);
    if (got < 0)
        return errno == ECONNRESET ? SYSTEM : WRONG;
    if (got == 0)
        return SYSTEM;
    if (count == 1 && byte == PROTOCOL && is_the_one(fd, wanted)) {
        *listener = fd;
        return GRANTED;
    }
    if (count == 1)
        (void)close(fd);
    return WRONG;
}

/* The helper's end is the end of the stream, of which nobody else has that side. */
static int reap(pid_t helper, int ours, int64_t deadline)
{
    char rest[64];

    (void)shutdown(ours, SHUT_WR); /* where no answer of ours was sent, none will come */
    for (;;) {
        if (!readable(ours, deadline)) {
            os_kill(helper);
            break;
        }
        if (recv(ours, rest, sizeof rest, 0) <= 0)
            break;
    }
    return os_wait(helper);
}

static enum answer converse(char *const argv[], int pair[2], const union name *wanted, int *listener)
{
    const int64_t deadline = now_ms() + ANSWER_MS;
    const unsigned char byte = PROTOCOL;

    const pid_t helper = os_start(argv, pair[1], pair[0]);
    if (helper < 0)
        return NO_ROOM;
    (void)close(pair[1]);
    pair[1] = -1;
    const enum answer answer = receive(pair[0], wanted, listener, deadline);
    /* Only now may the helper let go of its copy: macOS may collect a socket in flight. */
    if (answer == GRANTED)
        (void)fdpass_send(pair[0], &byte, 1, NULL, 0, 0);
    const int code = reap(helper, pair[0], deadline);
    if (answer != SYSTEM)
        return answer;
    return code >= USAGE && code <= PEER_GONE ? (enum answer)code : SYSTEM;
}

enum answer ask_helper(const union name *wanted, int *listener)
{
    char address[INET6_ADDRSTRLEN], number[DECIMAL], verb[] = "bind", program[HELPER_MAX];
    size_t size = 0;

    do /* exec(2) wants words that it could write to */
        program[size] = os_helper[size];
    while (os_helper[size++] != 0);
    const void *const bytes =
        wanted->any.sa_family == AF_INET ? (const void *)&wanted->in.sin_addr : (const void *)&wanted->in6.sin6_addr;
    if (inet_ntop(wanted->any.sa_family, bytes, address, sizeof address) == NULL)
        return WRONG;
    char *const argv[] = {program, verb, decimal(name_port(wanted), number), address, NULL};
    enum answer answer = verify_installed();
    if (answer != GRANTED)
        return answer;
    int pair[2];
    if (os_pair(pair) != 0)
        return NO_ROOM;
    answer = out_of_the_way(pair) == 0 ? converse(argv, pair, wanted, listener) : NO_ROOM;
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            (void)close(pair[i]);
    return answer;
}
