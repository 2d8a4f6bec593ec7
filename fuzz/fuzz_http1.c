/* The input is what a connection carries, after two bytes that say how it is read: whose bytes they are (0x01: a server's;
 * 0x02: it answers HEAD) and whether 0xfe stands for a thousand letters (0x04), so that limits are met; and the split.
 *
 * What holds for each: any split gives the same; nothing is read beyond what came; spans lie within the head; no limit is
 * passed; what is given out has no byte that could end a line; a body has as many bytes as was announced. */
#include "fuzz/oracle.h"

#include "csrc/http1.h"

#include <sanitizer/asan_interface.h>

enum { ROOM = 1 << 19, LONGEST = 40000 };
static const struct http1_limits LIMITS = {.head = 32768, .fields = 100, .target = 16384};

/* What was read, in one row of bytes that can be compared. */
struct transcript {
    size_t size, data; /* data: where the body's bytes of the message now read begin */
    unsigned char bytes[ROOM];
};

struct connection {
    enum http1_role role;
    enum { AT_HEAD, AT_BODY, AT_TRAILERS, FAILED } stage;
    int flags;
    struct http1_scan scan;
    struct http1_head head;
    struct http1_body body;
    size_t at, body_at; /* in the input: what is done with, and where the body began */
};

static void put(struct transcript *out, const void *bytes, size_t size)
{
    MUST(out->size + size <= ROOM);
    if (size > 0)
        memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

static void put_number(struct transcript *out, uint64_t value)
{
    put(out, &value, sizeof value);
}

static void put_span(struct transcript *out, const unsigned char *buf, struct http1_span span, long end)
{
    MUST((uint64_t)span.at + span.size <= (uint64_t)end);
    for (uint32_t i = 0; i < span.size; i++)
        MUST(buf[span.at + i] != '\r' && buf[span.at + i] != '\n' && buf[span.at + i] != 0);
    put_number(out, span.size);
    put(out, buf + span.at, span.size);
}

static void put_head(struct transcript *out, const struct connection *c, const unsigned char *buf, long end)
{
    const struct http1_head *head = &c->head;

    MUST(end >= 2 && (size_t)end <= LIMITS.head && head->count <= LIMITS.fields && head->target.size <= LIMITS.target);
    MUST(memcmp(buf + end - 2, "\r\n", 2) == 0);
    if (c->stage == AT_HEAD && c->role == HTTP1_REQUEST) {
        MUST(head->method.size > 0 && head->host.size > 0);
        MUST(!memchr(buf + head->method.at, ' ', head->method.size));
        MUST(!memchr(buf + head->target.at, ' ', head->target.size));
        MUST(head->framing != HTTP1_UNTIL_CLOSE);
    }
    put_span(out, buf, head->method, end);
    put_span(out, buf, head->target, end);
    put_span(out, buf, head->host, end);
    put_span(out, buf, head->reason, end);
    put_number(out, (uint64_t)head->status << 32 | (uint64_t)head->minor << 16 | (uint64_t)head->flags);
    put_number(out, (uint64_t)head->framing);
    put_number(out, head->length);
    for (size_t i = 0; i < head->count; i++) {
        const struct http1_span name = head->fields[i].name, value = head->fields[i].value;
        MUST(name.size > 0 && !memchr(buf + name.at, ' ', name.size) && !memchr(buf + name.at, ':', name.size));
        put_span(out, buf, name, end);
        put_span(out, buf, value, end);
    }
}

/* The chunks once more, by strtoull(3), beside the data that was given out for them. */
static void check_chunks(const unsigned char *text, size_t size, const unsigned char *data, size_t data_size)
{
    size_t at = 0, sum = 0;

    for (;;) {
        char digits[HTTP1_CHUNK_DIGITS_MAX + 1] = "";
        const unsigned char *const feed = memchr(text + at, '\n', size - at);
        MUST(feed);
        memcpy(digits, text + at, size - at < sizeof digits - 1 ? size - at : sizeof digits - 1);
        const uint64_t chunk = strtoull(digits, NULL, 16);
        at = (size_t)(feed - text) + 1;
        if (chunk == 0)
            break;
        MUST(chunk <= size - at - 2 && memcmp(text + at + chunk, "\r\n", 2) == 0);
        MUST(sum + chunk <= data_size && memcmp(text + at, data + sum, chunk) == 0);
        sum += chunk;
        at += chunk + 2;
    }
    MUST(at == size && sum == data_size);
}

static int read_head(struct connection *c, const unsigned char *buf, size_t size, struct transcript *out)
{
    const enum http1_role role = c->stage == AT_TRAILERS ? HTTP1_TRAILERS : c->role;

    c->head.flags = c->flags;
    const long end = http1_head_parse(role, &LIMITS, buf + c->at, size - c->at, &c->scan, &c->head);
    if (end == 0)
        return HTTP1_NEED_MORE;
    if (end < 0)
        return (int)end;
    memset(&c->scan, 0, sizeof c->scan);
    put_number(out, 'H');
    put_head(out, c, buf + c->at, end);
    c->at += (size_t)end;
    if (c->stage == AT_HEAD && (role == HTTP1_REQUEST || c->head.status >= 200)) {
        http1_body_start(&c->body, &c->head);
        c->stage = AT_BODY;
        c->body_at = c->at;
        out->data = out->size;
    } else {
        c->stage = AT_HEAD;
    }
    return HTTP1_DATA;
}

static int read_body(struct connection *c, const unsigned char *buf, size_t size, struct transcript *out)
{
    size_t used;
    struct http1_span data;

    const int event = http1_body_next(&c->body, buf + c->at, size - c->at, &used, &data);
    if (event < 0)
        return event;
    MUST(used <= size - c->at);
    if (event == HTTP1_DATA) {
        MUST(data.size > 0 && (size_t)data.at + data.size <= used);
        put(out, buf + c->at + data.at, data.size);
    }
    c->at += used;
    const size_t had = out->size - out->data;
    if (event == HTTP1_AT_END) {
        MUST(had == (c->head.framing == HTTP1_LENGTH ? c->head.length : 0));
        c->stage = AT_HEAD;
    } else if (event == HTTP1_TRAILERS_FOLLOW) {
        check_chunks(buf + c->body_at, c->at - c->body_at, out->bytes + out->data, had);
        c->stage = AT_TRAILERS;
    }
    if (c->head.framing == HTTP1_LENGTH)
        MUST(had <= c->head.length);
    return event;
}

/* All that can be read of the size bytes that have come. */
static void drain(struct connection *c, const unsigned char *buf, size_t size, struct transcript *out)
{
    int event = HTTP1_DATA;

    while (c->stage != FAILED && event != HTTP1_NEED_MORE) {
        event = c->stage == AT_BODY ? read_body(c, buf, size, out) : read_head(c, buf, size, out);
        if (event < 0) {
            MUST(event >= HTTP1_LAST && http1_explain(event)->status >= 400 && http1_explain(event)->text);
            put_number(out, (uint64_t)-event);
            c->stage = FAILED;
        }
    }
}

static void read_all(const unsigned char how[2], unsigned char *buf, size_t size, unsigned split, struct transcript *out)
{
    struct connection c = {.role = how[0] & 1 ? HTTP1_RESPONSE : HTTP1_REQUEST};
    size_t came = 0;

    c.flags = how[0] & 2 && c.role == HTTP1_RESPONSE ? HTTP1_HEAD_REQUEST : 0;
    out->size = out->data = 0;
    ASAN_POISON_MEMORY_REGION(buf, size); /* what has not come yet may not be looked at */
    while (came < size && c.stage != FAILED) {
        const size_t piece = split == 0 ? size : 1 + (split * (came + 7) >> 3) % split;
        came += piece < size - came ? piece : size - came;
        ASAN_UNPOISON_MEMORY_REGION(buf, came);
        drain(&c, buf, came, out);
    }
    ASAN_UNPOISON_MEMORY_REGION(buf, size);
    put_number(out, c.stage == FAILED ? 0 : c.at); /* where reading stopped means nothing once it failed */
}

/* The bytes of the connection, and how many. */
static unsigned char *expand(const uint8_t *data, size_t size, int letters, size_t *expanded)
{
    static unsigned char room[LONGEST + 1000];
    size_t count = 0;

    for (size_t i = 0; i < size && count < LONGEST; i++) {
        const size_t times = letters && data[i] == 0xfe ? 1000 : 1;
        memset(room + count, times > 1 ? 'x' : data[i], times);
        count += times;
    }
    *expanded = count;
    return copy_of(room, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct transcript whole, pieces;
    size_t count;

    if (size < 3)
        return 0;
    unsigned char *const buf = expand(data + 2, size - 2, data[0] & 4, &count);
    read_all(data, buf, count, 0, &whole);
    for (unsigned i = 0; i < 2; i++) { /* byte by byte, and otherwise */
        read_all(data, buf, count, i == 0 ? 1 : 2 + data[1], &pieces);
        MUST(whole.size == pieces.size && memcmp(whole.bytes, pieces.bytes, whole.size) == 0);
    }
    free(buf);
    return 0;
}
