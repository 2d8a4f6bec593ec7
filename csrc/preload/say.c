/* Why a port was refused, said once: the program itself can only say "permission denied", as bind(2) does.
 *
 * It goes to the standard error output that the program was started with, and nowhere if that has become something
 * else: a program that has closed it may have a file of its own under the number 2.  It never waits and never raises
 * SIGPIPE. */
#include "preload.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stat standard_error;
static int is_open;
static atomic_flag said = ATOMIC_FLAG_INIT;

struct text {
    size_t size;
    char bytes[1024];
};

void say_prepare(void)
{
    is_open = fstat(STDERR_FILENO, &standard_error) == 0;
}

static void add(struct text *text, const char *words)
{
    const size_t size = strlen(words), room = sizeof text->bytes - text->size;
    const size_t fits = size < room ? size : room;

    memcpy(text->bytes + text->size, words, fits);
    text->size += fits;
}

static void add_port(struct text *text, const union name *name)
{
    char number[DECIMAL];

    add(text, decimal(name_port(name), number));
}

static void add_address(struct text *text, const union name *name)
{
    char words[INET6_ADDRSTRLEN] = "";
    const void *const bytes =
        name->any.sa_family == AF_INET ? (const void *)&name->in.sin_addr : (const void *)&name->in6.sin6_addr;

    if (inet_ntop(name->any.sa_family, bytes, words, sizeof words) != NULL)
        add(text, words);
}

static void add_denied(struct text *text, const union name *wanted)
{
    add(text, os_policy);
    add(text, " does not grant it to you\nhint: ");
    if (name_is_wildcard(wanted)) {
        add(text,
            "that is every address of this machine; have the program listen on 127.0.0.1 or ::1, or let locald do "
            "so: locald exec --preload --loopback -- ...");
        return;
    }
    add(text, "sudo locald-setup --port ");
    add_port(text, wanted);
    add(text, " --address ");
    add_address(text, wanted);
    add(text, "   (locald-setup prints the full command); more: locald doctor port:");
    add(text, wanted->any.sa_family == AF_INET ? "" : "[");
    add_address(text, wanted);
    add(text, wanted->any.sa_family == AF_INET ? ":" : "]:");
    add_port(text, wanted);
}

#define HELPER "locald-shim"
#define SETUP "run locald-setup; it asks for sudo by itself"
#ifdef LOCALD_HELPER /* as in os_linux.c: then locald-setup has nothing to do with it */
#define MENDED "install, or install again, the package of your system that has " LOCALD_HELPER
#else
#define MENDED SETUP
#endif
#define MORE "; more: locald doctor "

/* Each hint ends in the check that looks at the cause, as those of locald's own failures do (locald/errors.py). */
static const struct reason {
    enum answer answer;
    const char *what, *why, *hint;
} reasons[] = {
    {NOT_INSTALLED, HELPER, "is not installed", MENDED MORE "shim-installed"},
    {NOT_ROOTS, HELPER, "does not belong to root", MENDED MORE "shim-owner"},
    {OPEN_TO_OTHERS, HELPER, "is not root's alone to write", MENDED MORE "shim-mode"},
    {BAD_POLICY, os_policy, "is missing, unsafe or malformed", SETUP MORE "policy-installed"},
    {NO_PRIVILEGE, HELPER, "has no privilege here", "see why: locald doctor"},
    {MAPPED, "it", "is an IPv4 address for an IPv6 socket",
     "have the program use an IPv4 socket (Java: -Djava.net.preferIPv4Stack=true)"},
    {SILENT, HELPER, "did not answer in time", "try again; is the machine overloaded?" MORE "shim-protocol"},
    {PEER_GONE, HELPER, "did not answer in time", "try again; is the machine overloaded?" MORE "shim-protocol"},
    {NO_ROOM, "the system", "has no descriptor or no process left for asking",
     "look at ulimit -n and ulimit -u" MORE "limits"},
    {SYSTEM, HELPER, "cannot be used", MENDED MORE "shim-hash"}, /* the last one is for all others, too */
};

static void add_reason(struct text *text, enum answer answer, const union name *wanted)
{
    const struct reason *reason = reasons;

    if (answer == DENIED) {
        add_denied(text, wanted);
        return;
    }
    while (reason->answer != answer && reason->answer != SYSTEM)
        reason++;
    add(text, reason->what);
    add(text, " ");
    add(text, reason->why);
    add(text, "\nhint: ");
    add(text, reason->hint);
}

/* Nobody reads, or it has become something else: then not a byte. */
static int is_as_it_was(void)
{
    struct pollfd one = {.fd = STDERR_FILENO, .events = POLLOUT};
    struct stat now;

    if (!is_open || fstat(STDERR_FILENO, &now) != 0)
        return 0;
    if (now.st_dev != standard_error.st_dev || now.st_ino != standard_error.st_ino)
        return 0;
    return poll(&one, 1, 0) == 1 && (one.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
}

void say_refused(enum answer answer, const union name *wanted)
{
    struct text text = {.size = 0};

    /* "Address already in use" and "cannot assign requested address" say all there is. */
    if (answer == GRANTED || answer == IN_USE || answer == NO_ADDRESS)
        return;
    if (atomic_flag_test_and_set(&said) || !is_as_it_was())
        return;
    add(&text, "locald: this program may not have port ");
    add_port(&text, wanted);
    add(&text, " on ");
    add_address(&text, wanted);
    add(&text, ": ");
    add_reason(&text, answer, wanted);
    add(&text, "\n");
    (void)!write(STDERR_FILENO, text.bytes, text.size);
}
