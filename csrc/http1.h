/* Strict HTTP/1 heads and bodies, both roles: bytes in, spans out (RFC 9112).  Pure: no allocation, no system call, no
 * global that changes.  The caller keeps the bytes; a call with more of them goes on where the last one stopped, and any
 * split of the input gives the same result.  There is no second parser: who forwards must not read a message in another
 * way than who answers it. */
#ifndef LOCALD_HTTP1_H
#define LOCALD_HTTP1_H

#include <stddef.h>
#include <stdint.h>

enum {
    HTTP1_HEAD_MAX = 1 << 20, /* what can be set at most: bytes of a head, */
    HTTP1_FIELDS_MAX = 100,   /* and fields, for which there is place in http1_head */
    HTTP1_CHUNK_LINE_MAX = 256,  /* a size, its extension and CRLF; no program in use writes extensions */
    HTTP1_CHUNK_DIGITS_MAX = 15, /* of 16 hexadecimal ones: a size never overflows int64_t */
};

/* What is wrong, one code for each rule. */
enum http1_error {
    HTTP1_BARE_LF = -1,
    HTTP1_BAD_START = -2,
    HTTP1_BAD_METHOD = -3,
    HTTP1_BAD_TARGET = -4,
    HTTP1_BAD_VERSION = -5,
    HTTP1_OTHER_VERSION = -6,
    HTTP1_BAD_STATUS = -7,
    HTTP1_BAD_REASON = -8,
    HTTP1_BAD_FIELD_NAME = -9,
    HTTP1_BAD_FIELD_VALUE = -10,
    HTTP1_FOLDED_FIELD = -11,
    HTTP1_TOO_MANY_FIELDS = -12,
    HTTP1_HEAD_TOO_LARGE = -13,
    HTTP1_TARGET_TOO_LONG = -14,
    HTTP1_BAD_LENGTH = -15,
    HTTP1_TWO_LENGTHS = -16,
    HTTP1_LENGTH_AND_CODING = -17,
    HTTP1_TWO_CODINGS = -18,
    HTTP1_CODING_IN_1_0 = -19,
    HTTP1_UNKNOWN_CODING = -20,
    HTTP1_NO_HOST = -21,
    HTTP1_TWO_HOSTS = -22,
    HTTP1_BAD_HOST = -23,
    HTTP1_BAD_CHUNK_SIZE = -24,
    HTTP1_BAD_CHUNK_EXTENSION = -25,
    HTTP1_CHUNK_LINE_TOO_LONG = -26,
    HTTP1_BAD_CHUNK_END = -27,
    HTTP1_OTHER_HOST = -28,
    HTTP1_LAST = -28,
};

struct http1_error_info {
    int status; /* what a server answers */
    const char *text;
};
const struct http1_error_info *http1_explain(int error);

struct http1_span {
    uint32_t at, size;
};

struct http1_field {
    struct http1_span name, value;
};

enum http1_role { HTTP1_REQUEST, HTTP1_RESPONSE, HTTP1_TRAILERS };
enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };
enum http1_flag {
    HTTP1_KEEP_ALIVE = 1,
    HTTP1_WANTS_UPGRADE = 2, /* "upgrade" is among the Connection options */
    HTTP1_HEAD_REQUEST = 4,
    HTTP1_COUNTED = 8, /* there is a Content-Length, and this is length */
};

struct http1_head {
    struct http1_span method, target; /* of a request; target without scheme and authority; may be empty for "/" */
    struct http1_span host;           /* the authority of the target, else the Host field */
    struct http1_span reason;         /* of a response */
    int status, minor;
    int flags;
    enum http1_framing framing;
    uint64_t length; /* with HTTP1_COUNTED */
    size_t count;
    struct http1_field fields[HTTP1_FIELDS_MAX];
};

/* Where the search for the end of a head stands; zero it for each new head.  One empty line before a request belongs to
 * its head (RFC 9112 section 2.2). */
struct http1_scan {
    size_t seen, line;
};

/* Of a head, or of trailers.  No more than the two above. */
struct http1_limits {
    size_t head, fields, target;
};

/* The length of the head at the start of buf once all of it is there, 0 while it is not, or an error.  For a response,
 * head->flags must hold HTTP1_HEAD_REQUEST, or nothing, before the call. */
long http1_head_parse(enum http1_role role, const struct http1_limits *limits, const unsigned char *buf, size_t size,
                      struct http1_scan *scan, struct http1_head *head);

/* A head that came in parts, as HTTP/2 has it (RFC 9113 section 8.3): held to the same rules, since it is to be written as
 * HTTP/1.  The spans of method, target and host (:authority, empty for none) or the status, and those of the fields are
 * there, flags as above, and all else of head is zero; the rest is filled in.  ends: no body follows.  Returns 0 or an
 * error. */
int http1_parts_check(enum http1_role role, const struct http1_limits *limits, const unsigned char *buf, int ends,
                      struct http1_head *head);

struct http1_body {
    enum http1_framing framing;
    enum { HTTP1_AT_SIZE, HTTP1_AT_DATA, HTTP1_AT_DATA_END, HTTP1_AT_TRAILERS } state;
    uint64_t left;
};

void http1_body_start(struct http1_body *body, const struct http1_head *head);

enum http1_event { HTTP1_NEED_MORE, HTTP1_DATA, HTTP1_AT_END, HTTP1_TRAILERS_FOLLOW };

/* The next event of a body.  *used bytes of buf are done with; *data is the span of HTTP1_DATA.  Before HTTP1_AT_END of a
 * chunked body comes HTTP1_TRAILERS_FOLLOW: a head in the role of HTTP1_TRAILERS, perhaps empty.  Or an error. */
int http1_body_next(struct http1_body *body, const unsigned char *buf, size_t size, size_t *used,
                    struct http1_span *data);

#endif
