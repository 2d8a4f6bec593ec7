/* load PORT CONNECTIONS COUNT RATE BODY FRAME HEAD: one load on a proxy, from outside.
 *
 * A turn is a request, HEAD with BODY zeros behind it, and its whole response; where FRAME is not 0, HEAD opens a
 * WebSocket once, and a turn is a message of FRAME bytes there and back.  COUNT turns are shared by CONNECTIONS
 * connections.  With RATE 0 each connection begins its next turn when the last has ended.  Else one turn is due every
 * 1/RATE seconds by the clock, whether those before it have ended or not, and its time counts from when it was due: a
 * proxy that stops for a while makes all the turns late that should have begun meanwhile, as real clients would see it.
 *
 * Prints "ready" once all connections are there, waits for a line, prints a line of JSON at the end of the load, and
 * keeps the connections until its standard input ends: so memory and CPU time can be read in between. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 30000 /* without any answer */
#define SECOND 1000000000LL

struct conn {
    int fd;
    long long due; /* when the turn should have begun */
    size_t sent; /* of the message, its head and body as one */
    long long left; /* of the response: -1 while its head is incomplete */
    size_t have;
    char head[8192];
};

static int poller, timer = -1;
static long count, begun, ended, scheduled;
static long long interval, first;
static char *message; /* a head, or a frame */
static size_t message_size, body, frame;
static struct conn **idle; /* a ring: the longest idle goes first, so that all are used alike */
static int connections, idle_at, idle_count;
static double *latencies; /* microseconds of each turn */
static char scratch[1 << 18];
static const char zeros[1 << 18];

static void die(const char *what)
{
    fprintf(stderr, "load: %s (%ld turns begun, %ld ended): %s\n", what, begun, ended, errno ? strerror(errno) : "");
    exit(1);
}

static long long now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * SECOND + at.tv_nsec;
}

static void watch(struct conn *conn, int operation, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(poller, operation, conn ? conn->fd : timer, &event) < 0)
        die("epoll_ctl");
}

/* What is left of the message, as much as the socket takes. */
static void push(struct conn *conn)
{
    while (conn->sent < message_size + body) {
        const int in_head = conn->sent < message_size;
        const char *from = in_head ? message + conn->sent : zeros;
        size_t size = in_head ? message_size - conn->sent : message_size + body - conn->sent;
        if (size > sizeof zeros)
            size = sizeof zeros;
        ssize_t sent = send(conn->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            watch(conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (sent < 0)
            die("send");
        conn->sent += (size_t)sent;
    }
    if (body)
        watch(conn, EPOLL_CTL_MOD, EPOLLIN);
}

static void begin(struct conn *conn, long long due)
{
    conn->due = due;
    conn->sent = 0;
    conn->have = 0;
    conn->left = frame ? (long long)frame + 2 : -1;
    begun++;
    push(conn);
}

static void turn_ended(struct conn *conn)
{
    latencies[ended++] = (double)(now() - conn->due) / 1e3;
    if (interval)
        idle[(idle_at + idle_count++) % connections] = conn;
    else if (begun < count)
        begin(conn, now());
}

/* Those that are due, as far as there are connections that have nothing to do. */
static void begin_due(void)
{
    for (; idle_count && begun < scheduled; idle_count--) {
        struct conn *conn = idle[idle_at];
        idle_at = (idle_at + 1) % connections;
        begin(conn, first + begun * interval);
    }
}

static void tick(void)
{
    uint64_t periods;
    if (read(timer, &periods, sizeof periods) != sizeof periods)
        die("timer");
    scheduled += (long)periods;
    if (scheduled > count)
        scheduled = count;
}

/* A response's head is in conn->head, complete: how many bytes of its body are still to come. */
static long long rest_of_body(const struct conn *conn, const char *stop)
{
    if (strncmp(conn->head, "HTTP/1.1 200 ", 13) && strncmp(conn->head, "HTTP/1.1 101 ", 13)) {
        fprintf(stderr, "%.300s\n", conn->head);
        die("the answer is none that was asked for");
    }
    const char *length = strcasestr(conn->head, "\r\nContent-Length: ");
    if (!length && strncmp(conn->head, "HTTP/1.1 101 ", 13))
        die("the answer has no length");
    const long long here = (long long)conn->have - (stop + 4 - conn->head);
    return (length && length < stop ? atoll(length + 18) : 0) - here;
}

/* Read what there is; whether the response is complete. */
static int pull(struct conn *conn)
{
    const int in_head = conn->left < 0;
    char *into = in_head ? conn->head + conn->have : scratch;
    const size_t room = in_head ? sizeof conn->head - 1 - conn->have : sizeof scratch;
    const ssize_t got = recv(conn->fd, into, room, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        die("the proxy has closed a connection");
    if (!in_head) {
        conn->left -= got;
    } else {
        conn->have += (size_t)got;
        conn->head[conn->have] = 0;
        const char *stop = strstr(conn->head, "\r\n\r\n");
        if (!stop)
            return 0;
        conn->left = rest_of_body(conn, stop);
    }
    if (conn->left < 0)
        die("more came than was asked for");
    return conn->left == 0;
}

static struct conn *dial(int port)
{
    const int on = 1;
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn || (conn->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        die("socket");
    if (connect(conn->fd, (const struct sockaddr *)&to, sizeof to))
        die("connect");
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(conn, EPOLL_CTL_ADD, EPOLLIN);
    return conn;
}

/* Serve the connections until ``count`` turns have ended. */
static void run(void)
{
    while (ended < count) {
        struct epoll_event events[64];
        errno = 0;
        const int found = epoll_wait(poller, events, 64, PATIENCE_MS);
        if (found <= 0)
            die("no answer for 30 seconds");
        for (int i = 0; i < found; i++) {
            struct conn *conn = events[i].data.ptr;
            if (!conn)
                tick();
            else if (events[i].events & EPOLLOUT)
                push(conn);
            else if (pull(conn))
                turn_ended(conn);
        }
        begin_due();
    }
}

/* One turn on each connection: the pools fill, and a WebSocket opens. */
static void warm(void)
{
    const size_t then = frame;
    const long turns = count;
    frame = 0;
    for (int i = 0; i < connections; i++) {
        count = i + 1;
        begin(idle[i], now());
        run();
    }
    frame = then;
    count = turns;
    begun = ended = 0;
}

static void make_frame(void)
{
    static char bytes[6 + 125] = {(char)0x82}; /* binary, and masked by zeros */
    bytes[1] = (char)(0x80 | frame);
    message = bytes;
    message_size = 6 + frame;
}

static int by_size(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void measure(long long rate)
{
    first = now();
    if (rate) {
        interval = SECOND / rate;
        const struct timespec period = {.tv_nsec = (long)interval};
        timer = timerfd_create(CLOCK_MONOTONIC, 0);
        watch(NULL, EPOLL_CTL_ADD, EPOLLIN);
        timerfd_settime(timer, 0, &(struct itimerspec){period, period}, NULL);
        first += interval;
        idle_count = connections;
    } else {
        for (int i = 0; i < connections && begun < count; i++)
            begin(idle[i], now());
    }
    run();
    const double seconds = (double)(now() - first) / 1e9;
    qsort(latencies, (size_t)count, sizeof *latencies, by_size);
    printf("{\"seconds\": %.9f, \"p50\": %.3f, \"p99\": %.3f}\n", seconds, latencies[count / 2], latencies[count * 99 / 100]);
}

int main(int argc, char **argv)
{
    if (argc != 8)
        return 64;
    connections = atoi(argv[2]);
    count = atol(argv[3]);
    body = (size_t)atoll(argv[5]);
    frame = (size_t)atol(argv[6]);
    message = argv[7];
    message_size = strlen(message);
    poller = epoll_create1(0);
    latencies = calloc((size_t)(count > connections ? count : connections), sizeof *latencies);
    idle = calloc((size_t)connections, sizeof(struct conn *));
    if (!latencies || !idle)
        die("calloc");
    for (int i = 0; i < connections; i++)
        idle[i] = dial(atoi(argv[1]));
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count != 1) /* a single turn is a large body */
        warm();
    if (frame)
        make_frame();
    puts("ready");
    if (count && fgets(scratch, sizeof scratch, stdin))
        measure(atoll(argv[4]));
    while (fgets(scratch, sizeof scratch, stdin))
        ;
    return 0;
}
