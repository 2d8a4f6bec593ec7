/* Which descriptors are ready: epoll(7) on Linux, kqueue(2) on macOS. */
#ifndef LOCALD_READY_H
#define LOCALD_READY_H

enum { READY_READ = 1, READY_WRITE = 2 };

/* What can be tried: one of the two, or both together.  Which of them it was, the tries say; so they do for what broke. */
struct ready {
    int fd, what;
};

/* A queue, close-on-exec: readable itself while there is something to tell.  -1 and errno. */
int ready_open(void);

/* What a forked process does with that of the process before; then it opens its own. */
void ready_leave(int queue);

/* What is wanted of a descriptor from now on, and was before.  With 0 nothing at all is heard of it, not even that it
 * broke.  0, or -1 and errno. */
int ready_watch(int queue, int fd, int before, int now);

/* Tells at once what there is, most of it (READY_MOST at most).  How many there are, or -1 and errno. */
enum { READY_MOST = 256 };
int ready_poll(int queue, struct ready *found, int most);

#endif
