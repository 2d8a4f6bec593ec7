/* Policy bytes, a request and a uid: allowed or not.  Pure.
 *
 *     locald-ports 1
 *     1000 127.0.0.1 80
 *
 * uid, address, port; single spaces, LF at each end, no other form.  Exact match only, denied by default, and one bad
 * byte anywhere refuses the whole file: a line that is skipped is a line that somebody believes in. */
#include "shim.h"

#include <arpa/inet.h>
#include <string.h>

static const char header[] = "locald-ports 1\n";
enum { HEADER = sizeof header - 1, UID_LAST = 0xfffffffe }; /* (uid_t)-1 means "no change" to the kernel */

struct line {
    uint32_t uid, port;
    struct address address;
};

struct cursor {
    const char *text;
    size_t size, at;
};

struct word {
    size_t size;
    char text[INET6_ADDRSTRLEN]; /* with nothing to spare: no word of a good line is longer */
};

/* The word that `stop` ends, copied, and a step over both.  0 or -1. */
static int word_take(struct cursor *cursor, char stop, struct word *out)
{
    memset(out, 0, sizeof *out);
    while (cursor->at < cursor->size && out->size < sizeof out->text) {
        const char byte = cursor->text[cursor->at++];
        if (byte == stop)
            return 0;
        out->text[out->size++] = byte;
    }
    return -1;
}

/* A line, and a step over it.  0 or -1. */
static int line_take(struct cursor *cursor, struct line *out)
{
    struct word uid, address, port;

    if (word_take(cursor, ' ', &uid) != 0 || number_parse(uid.text, uid.size, UID_LAST, &out->uid) != 0)
        return -1;
    if (word_take(cursor, ' ', &address) != 0 || address_parse(address.text, address.size, &out->address) != 0)
        return -1;
    if (word_take(cursor, '\n', &port) != 0 || number_parse(port.text, port.size, PORT_MAX, &out->port) != 0)
        return -1;
    return out->port != 0 ? 0 : -1;
}

static int matches(const struct line *line, uid_t uid, const struct request *request)
{
    return line->uid == uid && line->port == request->port && line->address.family == request->address.family &&
           memcmp(line->address.bytes, request->address.bytes, sizeof line->address.bytes) == 0;
}

/* Whether the line from start to end, its LF with it, is there before.  There is one spelling, so bytes tell. */
static int is_repeated(const char *text, size_t start, size_t end)
{
    for (size_t line = HEADER; line < start;) {
        size_t a = line, b = start;
        while (a < start && b < end && text[a] == text[b])
            a++, b++;
        if (b == end)
            return 1;
        while (line < start && text[line++] != '\n')
            continue;
    }
    return 0;
}

enum code policy_decide(const char *text, size_t size, uid_t uid, const struct request *request)
{
    enum code verdict = DENIED;

    if (size < HEADER || size > POLICY_MAX || memcmp(text, header, HEADER) != 0)
        return BAD_POLICY;
    for (struct cursor cursor = {text, size, HEADER}; cursor.at < size;) {
        const size_t start = cursor.at;
        struct line line;
        if (line_take(&cursor, &line) != 0)
            return BAD_POLICY;
        if (is_repeated(text, start, cursor.at))
            return BAD_POLICY;
        if (matches(&line, uid, request))
            verdict = GRANTED;
    }
    return verdict;
}
