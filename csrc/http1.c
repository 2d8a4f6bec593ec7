/* See http1.h. */
#include "http1.h"

#include <string.h>

/* What a byte can be part of: a table of all of them, for it is asked of every byte of every name. */
enum {
    TOKEN = 1, /* RFC 9110 section 5.6.2 */
    LOWER = 2, /* the same without capitals: a name in HTTP/2 (RFC 9113 section 8.2.1) */
    HOST = 4,  /* letters, digits, "-", "_" and "." */
    DIGIT = 8,
    P = TOKEN | LOWER,
    C = TOKEN | HOST,
    L = TOKEN | LOWER | HOST,
    D = TOKEN | LOWER | HOST | DIGIT,
};
/* clang-format off */
static const unsigned char kinds[256] = {
    [' '] = 0, P, 0, P, P, P, P, P, 0, 0, P, P, 0, L, L, 0, /*   ! " # $ % & ' ( ) * + , - . / */
    D, D, D, D, D, D, D, D, D, D, 0, 0, 0, 0, 0, 0,         /* 0 1 2 3 4 5 6 7 8 9 : ; < = > ? */
    0, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,         /* @ A B C D E F G H I J K L M N O */
    C, C, C, C, C, C, C, C, C, C, C, 0, 0, 0, P, L,         /* P Q R S T U V W X Y Z [ \ ] ^ _ */
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,         /* ` a b c d e f g h i j k l m n o */
    L, L, L, L, L, L, L, L, L, L, L, 0, P, 0, P, 0,         /* p q r s t u v w x y z { | } ~   */
};
/* clang-format on */

static int is_digit(unsigned char c)
{
    return kinds[c] & DIGIT;
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

static int is(const unsigned char *text, size_t size, const char *word)
{
    if (size != strlen(word))
        return 0;
    for (size_t i = 0; i < size; i++)
        if (lower(text[i]) != (unsigned char)word[i])
            return 0;
    return 1;
}

/* Methods are case-sensitive (RFC 9110 section 9.1). */
static int is_method(const unsigned char *buf, const struct http1_head *head, const char *word)
{
    return head->method.size == strlen(word) && memcmp(buf + head->method.at, word, head->method.size) == 0;
}

/* Whether there is text, and all of it is of that kind. */
static int all(const unsigned char *text, size_t size, unsigned char kind)
{
    unsigned char common = kind;

    for (size_t i = 0; i < size; i++)
        common &= kinds[text[i]];
    return size > 0 && common;
}

static struct http1_span span(size_t at, size_t size)
{
    return (struct http1_span){(uint32_t)at, (uint32_t)size};
}

const struct http1_error_info *http1_explain(int error)
{
    static const struct http1_error_info table[] = {
        [-HTTP1_BARE_LF] = {400, "a line ends in LF without CR"},
        [-HTTP1_BAD_START] = {400, "the first line is not one of HTTP/1"},
        [-HTTP1_BAD_METHOD] = {400, "the method is not a token"},
        [-HTTP1_BAD_TARGET] = {400, "the target is malformed"},
        [-HTTP1_BAD_VERSION] = {400, "the version is malformed"},
        [-HTTP1_OTHER_VERSION] = {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"},
        [-HTTP1_BAD_STATUS] = {400, "the status code is malformed"},
        [-HTTP1_BAD_REASON] = {400, "the reason has a control character"},
        [-HTTP1_BAD_FIELD_NAME] = {400, "a field name is not a token followed by a colon"},
        [-HTTP1_BAD_FIELD_VALUE] = {400, "a field value has a control character"},
        [-HTTP1_FOLDED_FIELD] = {400, "a field is folded over lines"},
        [-HTTP1_TOO_MANY_FIELDS] = {431, "there are too many fields"},
        [-HTTP1_HEAD_TOO_LARGE] = {431, "the head is too large"},
        [-HTTP1_TARGET_TOO_LONG] = {414, "the target is too long"},
        [-HTTP1_BAD_LENGTH] = {400, "Content-Length is not one decimal number"},
        [-HTTP1_TWO_LENGTHS] = {400, "Content-Length is given more than once"},
        [-HTTP1_LENGTH_AND_CODING] = {400, "both Content-Length and Transfer-Encoding are given"},
        [-HTTP1_TWO_CODINGS] = {400, "Transfer-Encoding is given more than once"},
        [-HTTP1_CODING_IN_1_0] = {400, "HTTP/1.0 has no Transfer-Encoding"},
        [-HTTP1_UNKNOWN_CODING] = {501, "Transfer-Encoding is something else than chunked"},
        [-HTTP1_NO_HOST] = {400, "there is no Host"},
        [-HTTP1_TWO_HOSTS] = {400, "Host is given more than once"},
        [-HTTP1_BAD_HOST] = {400, "Host is not a name or address, perhaps with a port"},
        [-HTTP1_BAD_CHUNK_SIZE] = {400, "a chunk's size is not a hexadecimal number"},
        [-HTTP1_BAD_CHUNK_EXTENSION] = {400, "a chunk's extension has a control character"},
        [-HTTP1_CHUNK_LINE_TOO_LONG] = {400, "a chunk's first line is too long"},
        [-HTTP1_BAD_CHUNK_END] = {400, "a chunk does not end where its size says"},
        [-HTTP1_OTHER_HOST] = {400, "Host is another than the :authority"},
    };
    return &table[error <= -1 && error >= HTTP1_LAST ? -error : -HTTP1_BAD_START];
}

static int is_empty_line(const unsigned char *buf, size_t size)
{
    return size >= 2 && buf[0] == '\r' && buf[1] == '\n';
}

/* What no head begins with is refused at once: who speaks TLS to a plain port sends no line end to wait for. */
static int check_first_byte(enum http1_role role, const unsigned char *buf, size_t size)
{
    const size_t start = is_empty_line(buf, size) ? 2 : 0;

    if (role == HTTP1_TRAILERS || size <= start)
        return 0;
    if (role == HTTP1_RESPONSE)
        return buf[0] == 'H' ? 0 : HTTP1_BAD_START;
    if (buf[start] == '\r')
        return size <= start + 1 || buf[start + 1] == '\n' ? 0 : HTTP1_BAD_METHOD;
    return kinds[buf[start]] & TOKEN || buf[start] == '\n' ? 0 : HTTP1_BAD_METHOD;
}

/* Finds the empty line that ends a head, one line at a time, so that a lone LF is refused as soon as it is seen: whoever
 * takes it for the end of a line splits the message in another place. */
static long find_end(enum http1_role role, size_t most, const unsigned char *buf, size_t size, struct http1_scan *scan)
{
    size_t limit = size < most ? size : most;

    while (scan->seen < limit) {
        const unsigned char *feed = memchr(buf + scan->seen, '\n', limit - scan->seen);
        if (!feed) {
            scan->seen = limit;
            break;
        }
        size_t at = (size_t)(feed - buf);
        if (at == 0 || buf[at - 1] != '\r')
            return HTTP1_BARE_LF;
        if (at - 1 == scan->line && (role != HTTP1_REQUEST || scan->line != 0))
            return (long)at + 1;
        scan->seen = scan->line = at + 1;
    }
    if (size < most)
        return 0;
    return role == HTTP1_REQUEST && scan->line <= 2 ? HTTP1_TARGET_TOO_LONG : HTTP1_HEAD_TOO_LARGE;
}

/* uri-host [ ":" port ]: letters, digits, "-", "_" and ".", or an IPv6 literal.  No user, no percent-encoding. */
static int is_host(const unsigned char *text, size_t size)
{
    size_t i = 0;

    if (size && text[0] == '[') {
        for (i = 1; i < size && text[i] != ']'; i++)
            if (!is_digit(text[i]) && text[i] != ':' && text[i] != '.' &&
                !(lower(text[i]) >= 'a' && lower(text[i]) <= 'f'))
                return 0;
        if (i < 3 || i++ == size)
            return 0;
    } else {
        while (i < size && kinds[text[i]] & HOST)
            i++;
        if (i == 0)
            return 0;
    }
    return i == size || (text[i] == ':' && size - i <= 6 && (i + 1 == size || all(text + i + 1, size - i - 1, DIGIT)));
}

static int check_target_text(const unsigned char *text, size_t size, size_t most)
{
    if (size > most)
        return HTTP1_TARGET_TOO_LONG;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '#')
            return HTTP1_BAD_TARGET;
    return 0;
}

/* origin-form, absolute-form or asterisk-form; the authority of an absolute one replaces Host (RFC 9112 3.2.2). */
static int parse_target(const unsigned char *buf, size_t at, size_t size, size_t most, struct http1_head *head)
{
    size_t end = at + size, start = 0;
    int error = check_target_text(buf + at, size, most);

    if (error)
        return error;
    head->target = span(at, size);
    if (size == 0)
        return HTTP1_BAD_TARGET;
    if (buf[at] == '/' || is_method(buf, head, "CONNECT"))
        return 0;
    if (size == 1 && buf[at] == '*')
        return is_method(buf, head, "OPTIONS") ? 0 : HTTP1_BAD_TARGET;
    if (size > 7 && is(buf + at, 7, "http://"))
        start = at + 7;
    else if (size > 8 && is(buf + at, 8, "https://"))
        start = at + 8;
    else
        return HTTP1_BAD_TARGET;
    size_t path = start;
    while (path < end && buf[path] != '/' && buf[path] != '?')
        path++;
    if (!is_host(buf + start, path - start))
        return HTTP1_BAD_TARGET;
    head->host = span(start, path - start);
    head->target = span(path, end - path);
    return 0;
}

static int parse_version(const unsigned char *text, size_t size, int *minor)
{
    if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7]))
        return HTTP1_BAD_VERSION;
    if (text[5] != '1' || text[7] > '1')
        return HTTP1_OTHER_VERSION;
    *minor = text[7] - '0';
    return 0;
}

static int parse_request_line(const unsigned char *buf, size_t at, size_t end, size_t most, struct http1_head *head)
{
    const unsigned char *first = memchr(buf + at, ' ', end - at);
    if (!first)
        return HTTP1_BAD_START;
    size_t method_end = (size_t)(first - buf);
    if (!all(buf + at, method_end - at, TOKEN))
        return HTTP1_BAD_METHOD;
    head->method = span(at, method_end - at);
    size_t target = method_end + 1;
    const unsigned char *second = memchr(buf + target, ' ', end - target);
    if (!second)
        return end - target > most ? HTTP1_TARGET_TOO_LONG : HTTP1_BAD_START;
    size_t version = (size_t)(second - buf) + 1;
    int error = parse_target(buf, target, version - 1 - target, most, head);
    return error ? error : parse_version(buf + version, end - version, &head->minor);
}

static int parse_status_line(const unsigned char *buf, size_t at, size_t end, struct http1_head *head)
{
    size_t size = end - at;

    if (size < 12)
        return HTTP1_BAD_START;
    int error = parse_version(buf + at, 8, &head->minor);
    if (error)
        return error;
    const unsigned char *code = buf + at + 9;
    if (buf[at + 8] != ' ' || !all(code, 3, DIGIT) || code[0] < '1' || code[0] > '5' || (size > 12 && code[3] != ' '))
        return HTTP1_BAD_STATUS;
    head->status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    head->reason = size > 13 ? span(at + 13, size - 13) : span(end, 0);
    for (size_t i = head->reason.at; i < end; i++)
        if ((buf[i] < ' ' && buf[i] != '\t') || buf[i] == 0x7f)
            return HTTP1_BAD_REASON;
    return 0;
}

static int is_value(const unsigned char *text, size_t size)
{
    int bad = 0; /* without a branch in the loop, compilers look at many bytes at once */

    for (size_t i = 0; i < size; i++)
        bad |= ((text[i] < ' ') & (text[i] != '\t')) | (text[i] == 0x7f);
    return !bad;
}

static int parse_field(const unsigned char *buf, size_t at, size_t end, size_t most, struct http1_head *head)
{
    if (buf[at] == ' ' || buf[at] == '\t')
        return HTTP1_FOLDED_FIELD;
    size_t colon = at;
    while (colon < end && kinds[buf[colon]] & TOKEN)
        colon++;
    if (colon == at || colon == end || buf[colon] != ':')
        return HTTP1_BAD_FIELD_NAME;
    if (head->count == most || head->count == HTTP1_FIELDS_MAX)
        return HTTP1_TOO_MANY_FIELDS;
    size_t start = colon + 1;
    if (!is_value(buf + start, end - start))
        return HTTP1_BAD_FIELD_VALUE;
    struct http1_field *field = &head->fields[head->count++];
    field->name = span(at, colon - at);
    while (start < end && (buf[start] == ' ' || buf[start] == '\t'))
        start++;
    while (end > start && (buf[end - 1] == ' ' || buf[end - 1] == '\t'))
        end--;
    field->value = span(start, end - start);
    return 0;
}

static int parse_fields(const unsigned char *buf, size_t at, size_t end, size_t most, struct http1_head *head)
{
    while (at < end - 2) { /* the last two are the empty line */
        const unsigned char *feed = memchr(buf + at, '\n', end - at);
        size_t next = (size_t)(feed - buf) + 1;
        int error = parse_field(buf, at, next - 2, most, head);
        if (error)
            return error;
        at = next;
    }
    return 0;
}

static int parse_length(const unsigned char *text, size_t size, uint64_t *out)
{
    uint64_t value = 0;

    if (size > 19 || !all(text, size, DIGIT))
        return HTTP1_BAD_LENGTH;
    for (size_t i = 0; i < size; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *out = value;
    return value <= INT64_MAX ? 0 : HTTP1_BAD_LENGTH;
}

/* The options of one Connection field that concern us. */
static void read_connection(const unsigned char *text, size_t size, int *closes, int *keeps, int *flags)
{
    size_t at = 0;

    while (at < size) {
        const unsigned char *comma = memchr(text + at, ',', size - at);
        size_t next = comma ? (size_t)(comma - text) : size, end = next;
        while (at < end && (text[at] == ' ' || text[at] == '\t'))
            at++;
        while (end > at && (text[end - 1] == ' ' || text[end - 1] == '\t'))
            end--;
        *closes |= is(text + at, end - at, "close");
        *keeps |= is(text + at, end - at, "keep-alive");
        if (is(text + at, end - at, "upgrade"))
            *flags |= HTTP1_WANTS_UPGRADE;
        at = next + 1;
    }
}

/* What the fields say of the message itself. */
struct said {
    int lengths, codings, chunked, hosts, bad_hosts, closes, keeps;
    uint64_t length;
};

static int classify(const unsigned char *buf, struct http1_head *head, struct said *said)
{
    for (size_t i = 0; i < head->count; i++) {
        const unsigned char *name = buf + head->fields[i].name.at, *value = buf + head->fields[i].value.at;
        size_t size = head->fields[i].name.size, length = head->fields[i].value.size;
        if (is(name, size, "content-length")) {
            if (said->lengths++)
                return HTTP1_TWO_LENGTHS;
            if (parse_length(value, length, &said->length) != 0)
                return HTTP1_BAD_LENGTH;
        } else if (is(name, size, "transfer-encoding")) {
            said->codings++;
            said->chunked = is(value, length, "chunked");
        } else if (is(name, size, "connection")) {
            read_connection(value, length, &said->closes, &said->keeps, &head->flags);
        } else if (is(name, size, "host")) {
            said->hosts++;
            said->bad_hosts += !is_host(value, length);
            if (head->host.size == 0)
                head->host = head->fields[i].value;
        }
    }
    return 0;
}

/* RFC 9112 section 3.2. */
static int check_host(const struct said *said)
{
    if (said->hosts != 1)
        return said->hosts ? HTTP1_TWO_HOSTS : HTTP1_NO_HOST;
    return said->bad_hosts ? HTTP1_BAD_HOST : 0;
}

/* A response whose status or request allows it no body (RFC 9112 section 6.3, 1 and 2). */
static int has_no_body(const struct http1_head *head)
{
    return head->status < 200 || head->status == 204 || head->status == 304 || (head->flags & HTTP1_HEAD_REQUEST);
}

/* RFC 9112 section 6.3, with nothing forgiven. */
static int frame(enum http1_role role, struct http1_head *head, const struct said *said)
{
    if (said->codings && said->lengths)
        return HTTP1_LENGTH_AND_CODING;
    if (said->codings > 1)
        return HTTP1_TWO_CODINGS;
    if (said->codings && head->minor == 0)
        return HTTP1_CODING_IN_1_0;
    if (said->codings && !said->chunked)
        return HTTP1_UNKNOWN_CODING;
    if (role == HTTP1_RESPONSE && has_no_body(head))
        head->framing = HTTP1_NO_BODY;
    else if (said->codings)
        head->framing = HTTP1_CHUNKED;
    else if (said->lengths)
        head->framing = HTTP1_LENGTH;
    else
        head->framing = role == HTTP1_REQUEST ? HTTP1_NO_BODY : HTTP1_UNTIL_CLOSE;
    if (said->lengths)
        head->flags |= HTTP1_COUNTED;
    head->length = said->lengths ? said->length : 0;
    /* A 204 that announces a body may well send one, and that would be read as the next response. */
    const int lies = role == HTTP1_RESPONSE && head->status == 204 && (said->codings || head->length);
    if (!said->closes && (head->minor == 1 || said->keeps) && head->framing != HTTP1_UNTIL_CLOSE && !lies)
        head->flags |= HTTP1_KEEP_ALIVE;
    return role == HTTP1_REQUEST ? check_host(said) : 0;
}

long http1_head_parse(enum http1_role role, const struct http1_limits *limits, const unsigned char *buf, size_t size,
                      struct http1_scan *scan, struct http1_head *head)
{
    struct said said = {0};
    const int asked = head->flags & HTTP1_HEAD_REQUEST;
    size_t at = 0;
    int error = 0;

    long end = check_first_byte(role, buf, size);
    if (end == 0)
        end = find_end(role, limits->head, buf, size, scan);
    if (end <= 0)
        return end;
    memset(head, 0, offsetof(struct http1_head, fields));
    head->flags = asked;
    if (role != HTTP1_TRAILERS) {
        const size_t start = role == HTTP1_REQUEST && is_empty_line(buf, size) ? 2 : 0;
        at = (size_t)((const unsigned char *)memchr(buf + start, '\n', (size_t)end - start) - buf) + 1;
        error = role == HTTP1_REQUEST ? parse_request_line(buf, start, at - 2, limits->target, head)
                                      : parse_status_line(buf, 0, at - 2, head);
    }
    if (!error)
        error = parse_fields(buf, at, (size_t)end, limits->fields, head);
    if (!error && role != HTTP1_TRAILERS)
        error = classify(buf, head, &said);
    if (!error && role != HTTP1_TRAILERS)
        error = frame(role, head, &said);
    return error ? error : end;
}

static int is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static int check_parts_of_field(const unsigned char *buf, const struct http1_field *field)
{
    const unsigned char *name = buf + field->name.at, *value = buf + field->value.at;
    const size_t size = field->value.size;

    if (!all(name, field->name.size, LOWER))
        return HTTP1_BAD_FIELD_NAME;
    return is_value(value, size) && !(size && (is_blank(value[0]) || is_blank(value[size - 1])))
               ? 0
               : HTTP1_BAD_FIELD_VALUE;
}

static int same_host(const unsigned char *one, const unsigned char *other, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (lower(one[i]) != lower(other[i]))
            return 0;
    return 1;
}

/* Host may be there beside the authority, and says the same then (RFC 9113 section 8.3.1). */
static int check_authority(const unsigned char *buf, struct http1_span authority, const struct said *said,
                           const struct http1_head *head)
{
    if (authority.size == 0)
        return check_host(said);
    if (!is_host(buf + authority.at, authority.size))
        return HTTP1_BAD_HOST;
    for (size_t i = 0; i < head->count; i++) {
        const struct http1_field *field = &head->fields[i];
        if (is(buf + field->name.at, field->name.size, "host") &&
            (field->value.size != authority.size ||
             !same_host(buf + field->value.at, buf + authority.at, authority.size)))
            return HTTP1_OTHER_HOST;
    }
    return said->hosts > 1 ? HTTP1_TWO_HOSTS : 0;
}

static int check_method_and_target(const struct http1_limits *limits, const unsigned char *buf,
                                   const struct http1_head *head)
{
    const unsigned char *target = buf + head->target.at;

    if (!all(buf + head->method.at, head->method.size, TOKEN))
        return HTTP1_BAD_METHOD;
    const int error = check_target_text(target, head->target.size, limits->target);
    if (error)
        return error;
    if (head->target.size == 0) /* a tunnel's other end is its authority (RFC 9113 section 8.5) */
        return is_method(buf, head, "CONNECT") ? 0 : HTTP1_BAD_TARGET;
    const int asterisk = head->target.size == 1 && target[0] == '*' && is_method(buf, head, "OPTIONS");
    return asterisk || target[0] == '/' ? 0 : HTTP1_BAD_TARGET;
}

/* END_STREAM frames what has no length; the next hop needs chunks for it. */
static enum http1_framing frame_of_parts(enum http1_role role, const struct http1_head *head, int lengths, int ends)
{
    if (role == HTTP1_RESPONSE && (ends || has_no_body(head)))
        return HTTP1_NO_BODY;
    if (lengths)
        return HTTP1_LENGTH;
    return ends ? HTTP1_NO_BODY : HTTP1_CHUNKED;
}

int http1_parts_check(enum http1_role role, const struct http1_limits *limits, const unsigned char *buf, int ends,
                      struct http1_head *head)
{
    const struct http1_span authority = head->host;
    struct said said = {0};
    int error = role == HTTP1_REQUEST ? check_method_and_target(limits, buf, head) : 0;

    for (size_t i = 0; i < head->count && !error; i++)
        error = check_parts_of_field(buf, &head->fields[i]);
    if (error || role == HTTP1_TRAILERS)
        return error;
    error = classify(buf, head, &said);
    if (!error && said.codings)
        error = HTTP1_UNKNOWN_CODING;
    if (!error && role == HTTP1_REQUEST)
        error = check_authority(buf, authority, &said, head);
    head->minor = 1;
    head->flags |= HTTP1_KEEP_ALIVE | (said.lengths ? HTTP1_COUNTED : 0);
    head->framing = frame_of_parts(role, head, said.lengths, ends);
    head->length = said.length;
    return error;
}

void http1_body_start(struct http1_body *body, const struct http1_head *head)
{
    *body = (struct http1_body){.framing = head->framing, .state = HTTP1_AT_SIZE};
    if (head->framing == HTTP1_LENGTH)
        body->left = head->length;
}

static int hex(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* chunk-size [ chunk-ext ] CRLF; the extension is skipped, and may hold no control character. */
static int parse_chunk_line(const unsigned char *line, size_t size, uint64_t *out)
{
    size_t i = 0;

    *out = 0;
    while (i < size && hex(line[i]) >= 0) {
        if (i == HTTP1_CHUNK_DIGITS_MAX)
            return HTTP1_BAD_CHUNK_SIZE;
        *out = *out * 16 + (uint64_t)hex(line[i++]);
    }
    if (i == 0 || (i < size && line[i] != ';'))
        return HTTP1_BAD_CHUNK_SIZE;
    for (; i < size; i++)
        if ((line[i] < ' ' && line[i] != '\t') || line[i] >= 0x7f)
            return HTTP1_BAD_CHUNK_EXTENSION;
    return 0;
}

static int next_size(struct http1_body *body, const unsigned char *buf, size_t size, size_t *used)
{
    const unsigned char *feed = memchr(buf, '\n', size < HTTP1_CHUNK_LINE_MAX ? size : HTTP1_CHUNK_LINE_MAX);

    if (!feed)
        return size >= HTTP1_CHUNK_LINE_MAX ? (int)HTTP1_CHUNK_LINE_TOO_LONG : (int)HTTP1_NEED_MORE;
    size_t line = (size_t)(feed - buf);
    if (line == 0 || buf[line - 1] != '\r')
        return HTTP1_BARE_LF;
    int error = parse_chunk_line(buf, line - 1, &body->left);
    if (error)
        return error;
    *used += line + 1;
    body->state = body->left ? HTTP1_AT_DATA : HTTP1_AT_TRAILERS;
    return HTTP1_DATA;
}

static int next_data(struct http1_body *body, size_t at, size_t size, size_t *used, struct http1_span *data)
{
    if (size == 0)
        return HTTP1_NEED_MORE;
    if (size > body->left)
        size = (size_t)body->left;
    if (size > UINT32_MAX - HTTP1_HEAD_MAX) /* more than a span can say: the next call gives the rest */
        size = UINT32_MAX - HTTP1_HEAD_MAX;
    body->left -= size;
    *data = span(at, size);
    *used += size;
    return HTTP1_DATA;
}

static int next_chunked(struct http1_body *body, const unsigned char *buf, size_t size, size_t *used,
                        struct http1_span *data)
{
    for (;;) {
        const unsigned char *rest = buf + *used;
        size_t left = size - *used;
        int event;
        switch (body->state) {
        case HTTP1_AT_SIZE:
            event = next_size(body, rest, left, used);
            if (event != HTTP1_DATA)
                return event;
            break;
        case HTTP1_AT_DATA:
            event = next_data(body, *used, left, used, data);
            if (body->left == 0)
                body->state = HTTP1_AT_DATA_END;
            return event;
        case HTTP1_AT_DATA_END:
            if ((left > 0 && rest[0] != '\r') || (left > 1 && rest[1] != '\n'))
                return HTTP1_BAD_CHUNK_END;
            if (left < 2)
                return HTTP1_NEED_MORE;
            *used += 2;
            body->state = HTTP1_AT_SIZE;
            break;
        default:
            return HTTP1_TRAILERS_FOLLOW;
        }
    }
}

int http1_body_next(struct http1_body *body, const unsigned char *buf, size_t size, size_t *used,
                    struct http1_span *data)
{
    *used = 0;
    switch (body->framing) {
    case HTTP1_CHUNKED:
        return next_chunked(body, buf, size, used, data);
    case HTTP1_LENGTH:
        return body->left ? next_data(body, 0, size, used, data) : HTTP1_AT_END;
    case HTTP1_UNTIL_CLOSE:
        body->left = size;
        return next_data(body, 0, size, used, data);
    default:
        return HTTP1_AT_END;
    }
}
