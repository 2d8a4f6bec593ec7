/* The whole internal interface of the library that is loaded into other people's programs.  bind.c tells the story;
 * each other file is one chapter.  Nothing here is seen outside but bind(): csrc/build_preload.py hides all else. */
#ifndef LOCALD_PRELOAD_H
#define LOCALD_PRELOAD_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { PROTOCOL = 1 }; /* csrc/shim/shim.h and locald/shim.py have the same number */
enum { PORT_MAX = 1023 }; /* the helper serves no other */
enum { ANSWER_MS = 6000 }; /* as in locald/shim.py: the helper's own alarm ends it after 5 s */

/* What came of asking: the exit codes of the helper's contract, and what can be seen from here alone. */
enum answer {
    GRANTED = 0,
    NOT_INSTALLED,
    NOT_ROOTS,
    OPEN_TO_OTHERS,
    NO_ROOM, /* no descriptor, no memory or no process to be had */
    SILENT,
    WRONG, /* it sent something else than what was asked for */
    MAPPED,
    USAGE = 64,
    BAD_INPUT,
    BAD_POLICY,
    DENIED,
    NO_PRIVILEGE,
    IN_USE,
    NO_ADDRESS,
    SYSTEM,
    PEER_GONE,
};

union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* bind.c: the whole of it; and names of sockets. */
int preload_bind(int fd, const struct sockaddr *address, socklen_t size);
unsigned name_port(const union name *name);
int name_is_wildcard(const union name *name);
int name_of(int fd, union name *out); /* what the socket is bound to: 0 or -1 */
int name_same(const union name *, const union name *); /* family, address and port */

/* settings.c: what `locald exec` asked for, read before the program's own code runs. */
struct settings {
    int active; /* this process is the one that was meant */
    int loopback; /* "every address" means the loopback's */
};
extern struct settings settings;

/* calm.c: between these two no signal handler, no cancellation and no fork() of the program comes in between.  Another
 * thread that asks at the same time waits. */
struct calm {
    unsigned char bytes[256];
};
void calm_begin(struct calm *calm);
void calm_end(const struct calm *calm);
void calm_prepare(void); /* once, before there are threads */

/* ask.c: a socket that listens there, had from the helper, close-on-exec.  *fd is set for GRANTED only. */
enum { DECIMAL = 8 };
char *decimal(unsigned number, char text[DECIMAL]); /* somewhere in the text; snprintf(3) may allocate */
enum answer ask_helper(const union name *wanted, int *fd);

/* options.c: what the program said of its socket is said of the other: flags, owner, options. */
struct option {
    int level, name;
};
void options_copy(int from, int to);

/* say.c: one message for each process, and only to the standard error output that the program was started with. */
void say_prepare(void);
void say_refused(enum answer answer, const union name *wanted);

/* os_linux.c, os_darwin.c: one contract. */
enum { HELPER_MAX = 256 }; /* of its path, with the end */
extern const char os_helper[], os_policy[];
extern const char os_variable[]; /* where the loader finds the names of libraries */
extern const struct option os_options[]; /* ends with a level of -1 */
extern const int os_buffer_factor; /* what getsockopt(2) says of a buffer, divided by what setsockopt(2) was told */

int os_bind(int fd, const struct sockaddr *address,
            socklen_t size); /* the one that the program would have without us */
int os_is_tcp(int fd);
int os_listens(int fd);
int os_stop_listening(int fd); /* 0 when it is bound as before, or when this system cannot */
int os_pair(int pair[2]);
int os_replace(int from, int to, int flags); /* dup3(2) */

/* Starts the helper with nothing of the program's but that socket, as standard input; `ours` is its other end.  A child
 * that the program does not see, where the system knows such.  -1, or what the other two take. */
pid_t os_start(char *const argv[], int theirs, int ours);
void os_kill(pid_t helper);
int os_wait(pid_t helper); /* its exit code; -1 when it is not known */
char **os_environ(void);

#endif
