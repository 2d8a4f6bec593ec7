/* Policy bytes, a request and a uid: allowed or not.  Pure.
 *
 *     locald-ports 1
 *     1000 127.0.0.1 80
 *
 * uid, address, port; single spaces, LF at each end, no other form.  Exact match only, denied by default, and one bad
 * byte anywhere refuses the whole file: a line that is skipped is a line that somebody believes in. */
#include "shim.h"

#include <string.h>

static const char header[] = "locald-ports 1\n";
enum { HEADER = sizeof header - 1, UID_LAST = 0xfffffffe }; /* (uid_t)-1 means "no change" to the kernel */

struct line {
    uint32_t uid, port;
    struct address address;
};

static int line_parse(const char *text, size_t size, struct line *out)
{
    const char *space = memchr(text, ' ', size);
    if (!space || number_parse(text, (size_t)(space - text), UID_LAST, &out->uid) != 0)
        return -1;
    const char *address = space + 1;
    size_t left = size - (size_t)(address - text);
    space = memchr(address, ' ', left);
    if (!space || address_parse(address, (size_t)(space - address), &out->address) != 0)
        return -1;
    const char *port = space + 1;
    left = size - (size_t)(port - text);
    return number_parse(port, left, PORT_MAX, &out->port) == 0 && out->port != 0 ? 0 : -1;
}

static int matches(const struct line *line, uid_t uid, const struct request *request)
{
    return line->uid == uid && line->port == request->port && line->address.family == request->address.family &&
           memcmp(line->address.bytes, request->address.bytes, sizeof line->address.bytes) == 0;
}

/* Whether the line, with its LF, stands between start and itself.  There is one spelling, so bytes tell. */
static int is_repeated(const char *start, const char *line, size_t size)
{
    while (start < line) {
        const char *end = (const char *)memchr(start, '\n', (size_t)(line - start)) + 1;
        if ((size_t)(end - start) == size && memcmp(start, line, size) == 0)
            return 1;
        start = end;
    }
    return 0;
}

enum code policy_decide(const char *text, size_t size, uid_t uid, const struct request *request)
{
    enum code verdict = DENIED;

    if (size < HEADER || size > POLICY_MAX || memcmp(text, header, HEADER) != 0)
        return BAD_POLICY;
    const char *end = text + size;
    for (const char *at = text + HEADER; at < end;) {
        struct line line;
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        if (!feed || line_parse(at, (size_t)(feed - at), &line) != 0)
            return BAD_POLICY;
        if (is_repeated(text + HEADER, at, (size_t)(feed + 1 - at)))
            return BAD_POLICY;
        if (matches(&line, uid, request))
            verdict = GRANTED;
        at = feed + 1;
    }
    return verdict;
}
