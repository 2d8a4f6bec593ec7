/* The input is a request's head as HTTP/2 brings it: a byte that says whether a body follows (0x01), then the method, the
 * path, the authority, and names and values in turn, each ended by 0xff.
 *
 * What http1_parts_check() lets through is written as HTTP/1, in the plainest way, and http1_head_parse() must then read
 * the same parts from it: no byte of a part may have become a line, a field or a body. */
#include "fuzz/oracle.h"

#include "csrc/http1.h"

enum { PARTS = 3 + 2 * (HTTP1_FIELDS_MAX - 1), END = 0xff };
static const struct http1_limits LIMITS = {.head = HTTP1_HEAD_MAX, .fields = HTTP1_FIELDS_MAX, .target = 16384};

static char *put(char *at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

static void same(const unsigned char *one, struct http1_span a, const char *other, struct http1_span b)
{
    MUST(a.size == b.size && memcmp(one + a.at, other + b.at, a.size) == 0);
}

/* How many parts there are; a last one without an end is none. */
static size_t split(const unsigned char *buf, size_t size, struct http1_span parts[PARTS])
{
    size_t count = 0, start = 0;

    for (size_t i = 0; i < size && count < PARTS; i++) {
        if (buf[i] != END)
            continue;
        parts[count++] = (struct http1_span){(uint32_t)start, (uint32_t)(i - start)};
        start = i + 1;
    }
    return count;
}

static int is_host_field(const unsigned char *buf, struct http1_span name)
{
    return name.size == 4 && memcmp(buf + name.at, "host", 4) == 0;
}

static size_t write_head(const unsigned char *buf, const struct http1_head *head, char *out)
{
    char *at = put(out, buf + head->method.at, head->method.size);

    at = put(at, " ", 1);
    at = put(at, buf + head->target.at, head->target.size);
    at = put(at, " HTTP/1.1\r\nhost: ", 17);
    at = put(at, buf + head->host.at, head->host.size);
    for (size_t i = 0; i < head->count; i++) {
        if (is_host_field(buf, head->fields[i].name))
            continue;
        at = put(at, "\r\n", 2);
        at = put(at, buf + head->fields[i].name.at, head->fields[i].name.size);
        at = put(at, ": ", 2);
        at = put(at, buf + head->fields[i].value.at, head->fields[i].value.size);
    }
    return (size_t)(put(at, "\r\n\r\n", 4) - out);
}

static void compare(const unsigned char *buf, const struct http1_head *given, const char *text, size_t size)
{
    static struct http1_head read;
    struct http1_scan scan = {0};
    size_t next = 1; /* behind Host */

    read.flags = 0;
    MUST(http1_head_parse(HTTP1_REQUEST, &LIMITS, (const unsigned char *)text, size, &scan, &read) == (long)size);
    same(buf, given->method, text, read.method);
    same(buf, given->target, text, read.target);
    same(buf, given->host, text, read.host);
    for (size_t i = 0; i < given->count; i++) {
        if (is_host_field(buf, given->fields[i].name))
            continue;
        MUST(next < read.count);
        same(buf, given->fields[i].name, text, read.fields[next].name);
        same(buf, given->fields[i].value, text, read.fields[next++].value);
    }
    MUST(next == read.count);
    MUST((read.flags & HTTP1_COUNTED) == (given->flags & HTTP1_COUNTED) && read.length == given->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http1_head head;
    struct http1_span parts[PARTS];

    if (size < 1)
        return 0;
    unsigned char *const buf = copy_of(data + 1, size - 1);
    const size_t count = split(buf, size - 1, parts);
    if (count >= 3) {
        memset(&head, 0, sizeof head);
        head.method = parts[0];
        head.target = parts[1];
        head.host = parts[2];
        for (size_t i = 3; i + 1 < count; i += 2)
            head.fields[head.count++] = (struct http1_field){parts[i], parts[i + 1]};
        const int error = http1_parts_check(HTTP1_REQUEST, &LIMITS, buf, data[0] & 1, &head);
        MUST(error == 0 || (error >= HTTP1_LAST && http1_explain(error)->status >= 400));
        if (error == 0 && head.target.size > 0) { /* without one, a CONNECT, which goes no further */
            char *const text = malloc(2 * size + 1000);
            MUST(text);
            compare(buf, &head, text, write_head(buf, &head, text));
            free(text);
        }
    }
    free(buf);
    return 0;
}
