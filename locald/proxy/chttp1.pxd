"""csrc/http1.h for Cython."""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "http1.h" nogil:
    enum:
        HTTP1_FIELDS_MAX

    struct http1_error_info:
        int status
        const char *text

    const http1_error_info *http1_explain(int error)

    struct http1_span:
        uint32_t at
        uint32_t size

    struct http1_field:
        http1_span name
        http1_span value

    enum http1_role:
        HTTP1_REQUEST
        HTTP1_RESPONSE
        HTTP1_TRAILERS

    enum http1_framing:
        HTTP1_NO_BODY
        HTTP1_LENGTH
        HTTP1_CHUNKED
        HTTP1_UNTIL_CLOSE

    enum:
        HTTP1_KEEP_ALIVE
        HTTP1_WANTS_UPGRADE
        HTTP1_HEAD_REQUEST
        HTTP1_COUNTED

    struct http1_head:
        http1_span method
        http1_span target
        http1_span host
        http1_span reason
        int status
        int minor
        int flags
        http1_framing framing
        uint64_t length
        size_t count
        http1_field *fields

    struct http1_scan:
        size_t seen
        size_t line

    struct http1_limits:
        size_t head
        size_t fields
        size_t target

    long http1_head_parse(http1_role role, const http1_limits *limits, const unsigned char *buf, size_t size,
                          http1_scan *scan, http1_head *head)

    int http1_parts_check(http1_role role, const http1_limits *limits, const unsigned char *buf, int ends,
                          http1_head *head)

    struct http1_body:
        http1_framing framing

    void http1_body_start(http1_body *body, const http1_head *head)

    enum:
        HTTP1_NEED_MORE
        HTTP1_DATA
        HTTP1_AT_END
        HTTP1_TRAILERS_FOLLOW

    int http1_body_next(http1_body *body, const unsigned char *buf, size_t size, size_t *used, http1_span *data)
