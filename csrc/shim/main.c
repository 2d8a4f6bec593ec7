/* locald-shim: binds one low port, passes the listening socket to its caller, and is gone.
 *
 *   locald-shim bind PORT [ADDRESS]     standard input is the Unix stream socket to send it on
 *   locald-shim version
 *
 * This is the only code of locald that ever has privilege.  It trusts nobody: no option, no environment variable and no
 * path come from the caller, and nothing of the caller's is looked at before all but one capability are gone.
 * It has no heap, no stdio, no locale and no name service.  main() is the order of privilege, and nothing else. */
#include "../fdpass.h"
#include "os.h"
#include "shim.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define SAY(text) "locald-shim: " text "\n"

/* Only fixed strings go to a descriptor that the caller chose: it may be a file that matters (CVE-2012-0056). */
static _Noreturn void leave(enum code code)
{
    static const char reasons[][80] = {
        "usage: locald-shim bind PORT [ADDRESS] | version\n", /* USAGE, and so on in the order of enum code */
        SAY("standard input is not a connected Unix stream socket of yours"),
        SAY("the policy file is missing, unsafe or malformed"),
        SAY("the policy does not grant this"),
        SAY("no privilege to bind this port"),
        SAY("address in use"),
        SAY("address not available"),
        SAY("a system call failed"),
    };

    (void)!write(STDERR_FILENO, reasons[code - USAGE], strlen(reasons[code - USAGE]));
    _exit((int)code);
}

static void out_of_time(int number)
{
    (void)number;
    _exit(PEER_GONE);
}

/* An ignored SIGALRM, a blocked mask and an armed timer of the caller's all survive exec(2).  The one handler does not
 * return, so no call of ours is ever interrupted: there is no EINTR to retry. */
static void reset_signals(void)
{
    static const int timers[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
    static const struct itimerval never;
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigset_t none;

    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        (void)setitimer(timers[i], &never, NULL);
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)sigaction(SIGXFSZ, &action, NULL);
    action.sa_handler = out_of_time;
    (void)sigaction(SIGALRM, &action, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    alarm(TIME_S);
}

static _Noreturn void print_version(void)
{
    static const char text[] = "locald-shim " LOCALD_VERSION " protocol 1\n";

    _Static_assert(PROTOCOL == 1, "the text above");
    _exit(write(STDOUT_FILENO, text, sizeof text - 1) == (ssize_t)sizeof text - 1 ? GRANTED : SYSTEM);
}

static enum code check_policy(const struct request *request)
{
    static char text[POLICY_MAX];
    size_t size;

    return policyfile_read(text, &size) == 0 ? policy_decide(text, size, getuid(), request) : BAD_POLICY;
}

/* One byte, one descriptor.  macOS may collect a socket whose only reference is a message in flight, so ours stays open
 * until the caller has answered; the answer proves that it has its own. */
static enum code hand_over(int listener)
{
    unsigned char byte = PROTOCOL;

    if (fdpass_send(STDIN_FILENO, &byte, 1, &listener, 1, MSG_DONTWAIT) != 1)
        return PEER_GONE;
    return read(STDIN_FILENO, &byte, 1) == 1 && byte == PROTOCOL ? GRANTED : PEER_GONE;
}

int main(int argc, char *argv[])
{
    struct request request;
    enum code code;
    int listener;

    reset_signals();
    const int power = os_drop();
    if (power < 0)
        leave(SYSTEM);
    if (request_parse(argc, argv, &request) != 0)
        leave(USAGE);
    if (request.verb == VERSION)
        print_version();
    if (!power)
        leave(NO_PRIVILEGE);
    if (!stream_is_of(STDIN_FILENO, getuid()))
        leave(BAD_INPUT);
    if ((code = check_policy(&request)) != GRANTED)
        leave(code);
    if ((code = listener_open(&request, &listener)) != GRANTED)
        leave(code);
    if (os_renounce() != 0 || os_confine() != 0)
        leave(SYSTEM);
    _exit((int)hand_over(listener)); /* without a word: the filter forbids it */
}
