/* While the helper is asked, three things of the program's must not come in between:
 *
 *   - its signal handlers, which may call bind() again, or leave by longjmp(3) with descriptors of ours open
 *   - pthread_cancel(3): bind(2) is no cancellation point, and poll(2) is one
 *   - fork(3) in another thread: the child would keep our descriptors, and with them the port
 *
 * vfork(2) and posix_spawn(3) go their way: what they start executes, and all that we have is close-on-exec. */
#include "preload.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct calm forking; /* under the lock */

struct state {
    sigset_t signals;
    int cancel;
};
_Static_assert(sizeof(struct state) <= sizeof(struct calm), "room for what is to be restored");

void calm_begin(struct calm *calm)
{
    struct state state;
    sigset_t all;

    (void)sigfillset(&all);
    /* The thread's own mask on both systems; pthread_sigmask(3) is in another library of older C libraries. */
    (void)sigprocmask(SIG_BLOCK, &all, &state.signals);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state.cancel);
    (void)pthread_mutex_lock(&lock);
    memcpy(calm, &state, sizeof state);
}

void calm_end(const struct calm *calm)
{
    struct state state;

    memcpy(&state, calm, sizeof state);
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_setcancelstate(state.cancel, &state.cancel);
    (void)sigprocmask(SIG_SETMASK, &state.signals, NULL);
}

static void before_fork(void)
{
    struct calm calm;

    calm_begin(&calm);
    forking = calm;
}

static void after_fork(void)
{
    const struct calm calm = forking;

    calm_end(&calm);
}

void calm_prepare(void)
{
    (void)pthread_atfork(before_fork, after_fork, after_fork);
}
