/* app PORT PATH: the app behind every proxy of the bench, on a port (127.0.0.1 and ::1, as apps do) and on a Unix socket.
 *
 * It is in C so that it is never what a proxy waits for.  GET / answers 13 bytes, GET /body a GiB of zeros, GET /page a
 * page of 2,000 modules as a development server gives it; the body of any other request is counted and answered; a
 * WebSocket gets each small message back. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GIB (1LL << 30)
#define ACCEPTED /* of the one key that load.c sends, which is RFC 6455's example */                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                  \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define HELLO "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n"
#define BODY "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1073741824\r\n\r\n"
#define REFUSED "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

#define MODULES 2000 /* tests/real/apps/vite has as many */
#define PAGE "<!doctype html><title>modules</title><script type=\"module\" src=\"/page/all.js\"></script>"

/* What the bytes of a connection are now. */
enum mode { LISTENER, HEAD, UPLOAD, DOWNLOAD, ECHO };

struct peer {
    int fd;
    enum mode mode;
    int last; /* the client asked to close after this answer */
    long long left; /* bytes of the body */
    size_t have;
    char bytes[16384];
};

static int poller;
static char scratch[1 << 18];
static const char zeros[1 << 18];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct peer *peer, int operation, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(poller, operation, peer->fd, &event) < 0)
        die("epoll_ctl");
}

static void add(int fd, enum mode mode)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        die("calloc");
    peer->fd = fd;
    peer->mode = mode;
    watch(peer, EPOLL_CTL_ADD, EPOLLIN);
}

static void end(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

static int answer(struct peer *peer, const char *text)
{
    if (send(peer->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        return -1;
    peer->mode = HEAD;
    return peer->last ? -1 : 0;
}

/* The rest of a download, as much of it as the socket takes. */
static int give(struct peer *peer)
{
    while (peer->left > 0) {
        size_t size = peer->left < (long long)sizeof zeros ? (size_t)peer->left : sizeof zeros;
        ssize_t sent = send(peer->fd, zeros, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            watch(peer, EPOLL_CTL_MOD, EPOLLOUT);
            return 0;
        }
        if (sent < 0)
            return -1;
        peer->left -= sent;
    }
    peer->mode = HEAD;
    watch(peer, EPOLL_CTL_MOD, EPOLLIN);
    return peer->last ? -1 : 0;
}

/* Each whole message of fewer than 126 bytes goes back, unmasked. */
static int echo(struct peer *peer)
{
    char out[sizeof peer->bytes];
    size_t at = 0, size = 0;
    while (peer->have - at >= 6) {
        const char *frame = peer->bytes + at;
        const size_t length = frame[1] & 127;
        if (peer->have - at < 6 + length)
            break;
        out[size++] = frame[0];
        out[size++] = (char)length;
        for (size_t i = 0; i < length; i++)
            out[size++] = (char)(frame[6 + i] ^ frame[2 + i % 4]);
        at += 6 + length;
    }
    memmove(peer->bytes, peer->bytes + at, peer->have - at);
    peer->have -= at;
    return size && send(peer->fd, out, size, MSG_NOSIGNAL) != (ssize_t)size ? -1 : 0;
}

/* A small answer of text, never kept by the browser. */
static int answer_text(struct peer *peer, const char *type, const char *text)
{
    static char whole[1 << 17];
    snprintf(whole, sizeof whole,
             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %zu\r\n\r\n%s", type,
             strlen(text), text);
    return answer(peer, whole);
}

/* /page itself, the module that imports all the others, or one of those: a line of work and some comment. */
static int answer_page(struct peer *peer, const char *path)
{
    static char all[MODULES * 24];
    char module[1024];
    if (*path == ' ')
        return answer_text(peer, "text/html", PAGE);
    if (!strncmp(path, "/all.js ", 8)) {
        for (size_t i = 0, at = 0; i < MODULES; i++)
            at += (size_t)snprintf(all + at, sizeof all - at, "import './%zu.js'\n", i);
        return answer_text(peer, "text/javascript", all);
    }
    snprintf(module, sizeof module, "globalThis.loaded = (globalThis.loaded ?? 0) + 1 // %0500d\n", atoi(path + 1));
    return answer_text(peer, "text/javascript", module);
}

/* A request's head is complete: it begins the buffer, and ends at ``rest``. */
static int begin(struct peer *peer, char *rest)
{
    const size_t body = peer->have - (size_t)(rest - peer->bytes);
    rest[-2] = 0; /* one CRLF stays, so that each field has its own */
    const int get = !strncmp(peer->bytes, "GET ", 4), big = !strncmp(peer->bytes, "GET /body ", 10);
    const int websocket = strcasestr(peer->bytes, "\r\nUpgrade: websocket\r\n") != NULL;
    const char *length = strcasestr(peer->bytes, "\r\nContent-Length: ");
    peer->last = strcasestr(peer->bytes, "\r\nConnection: close\r\n") != NULL;
    peer->left = length ? atoll(length + 18) - (long long)body : 0;
    memmove(peer->bytes, rest, body);
    peer->have = body;
    if (websocket) {
        int done = answer(peer, ACCEPTED);
        peer->mode = ECHO;
        return done < 0 ? -1 : echo(peer);
    }
    if (big) {
        if (answer(peer, BODY) < 0 && !peer->last)
            return -1;
        peer->left = GIB;
        peer->mode = DOWNLOAD;
        return give(peer);
    }
    if (!strncmp(peer->bytes, "GET /page", 9))
        return answer_page(peer, peer->bytes + 9);
    if (get)
        return answer(peer, HELLO);
    if (!length) /* a proxy that made it chunked: not what is compared here */
        return answer(peer, REFUSED);
    peer->have = 0;
    peer->mode = UPLOAD;
    return peer->left ? 0 : answer(peer, HELLO);
}

/* There is something to read; -1 when the connection is to be closed. */
static int take(struct peer *peer)
{
    if (peer->mode == UPLOAD) {
        ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
        peer->left -= got;
        return got <= 0 ? -1 : peer->left ? 0 : answer(peer, HELLO);
    }
    ssize_t got = recv(peer->fd, peer->bytes + peer->have, sizeof peer->bytes - 1 - peer->have, 0);
    if (got <= 0)
        return -1;
    peer->have += (size_t)got;
    if (peer->mode == ECHO)
        return echo(peer);
    peer->bytes[peer->have] = 0;
    char *stop = strstr(peer->bytes, "\r\n\r\n");
    return stop ? begin(peer, stop + 4) : 0;
}

static void listen_on(int family, const void *address, socklen_t size)
{
    const int on = 1, fd = socket(family, SOCK_STREAM, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address, size) == 0 && listen(fd, 4096) == 0)
        add(fd, LISTENER);
    else if (family != AF_INET6) /* which not every machine has */
        die("listen");
}

static void open_all(uint16_t port, const char *path)
{
    const struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(local.sun_path, sizeof local.sun_path, "%s", path);
    listen_on(AF_INET, &four, sizeof four);
    listen_on(AF_INET6, &six, sizeof six);
    listen_on(AF_UNIX, &local, sizeof local);
    if (chmod(path, 0666))
        die("chmod");
}

static void welcome(int listener)
{
    const int on = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0)
        die("accept");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a Unix socket has no such delay */
    add(fd, HEAD);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    poller = epoll_create1(0);
    open_all((uint16_t)atoi(argv[1]), argv[2]);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        const int count = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer->mode == LISTENER)
                welcome(peer->fd);
            else if ((peer->mode == DOWNLOAD ? give(peer) : take(peer)) < 0)
                end(peer);
        }
    }
}
