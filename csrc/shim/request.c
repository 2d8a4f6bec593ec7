/* The command line, and the two kinds of word in it that the policy file has too.  Pure.
 *
 * Each value has exactly one spelling.  What parses in two ways is read one way by the check and another way by the
 * bind: authbind takes an empty address for 0.0.0.0. */
#include "shim.h"

#include <arpa/inet.h>
#include <string.h>

int number_parse(const char *text, size_t size, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;

    if (size == 0 || size > 10 || (text[0] == '0' && size > 1))
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > max)
        return -1;
    *out = (uint32_t)value;
    return 0;
}

/* RFC 5952, section 4.  The C library's inet_ntop() would bring stdio into a setuid program. */
static void ipv6_print(const uint8_t bytes[16], char *out)
{
    int start = -1, length = 1; /* the first longest run of two or more groups that are zero */

    for (int i = 0; i < 8; i++) {
        int zeros = 0;
        while (i + zeros < 8 && bytes[2 * (i + zeros)] == 0 && bytes[2 * (i + zeros) + 1] == 0)
            zeros++;
        if (zeros > length) {
            start = i;
            length = zeros;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i > 0 && i != start)
            *out++ = ':';
        if (i == start) {
            *out++ = ':'; /* the other colon of the two is the next group's */
            i += length - 1;
            continue;
        }
        const unsigned group = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
        for (int shift = group > 0xfff ? 12 : group > 0xff ? 8 : group > 0xf ? 4 : 0; shift >= 0; shift -= 4)
            *out++ = "0123456789abcdef"[group >> shift & 0xf];
    }
    if (start + length == 8)
        *out++ = ':';
    *out = 0;
}

int address_parse(const char *text, size_t size, struct address *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char given[INET6_ADDRSTRLEN] = "", canonical[INET6_ADDRSTRLEN] = "";

    if (size == 0 || size >= sizeof given || memchr(text, 0, size))
        return -1;
    memcpy(given, text, size);
    memset(out, 0, sizeof *out);
    out->family = memchr(text, ':', size) ? AF_INET6 : AF_INET;
    if (inet_pton(out->family, given, out->bytes) != 1)
        return -1;
    if (out->family == AF_INET)
        return 0; /* inet_pton() takes four decimal numbers without leading zeros, and nothing else */
    ipv6_print(out->bytes, canonical);
    /* ::ffff:127.0.0.1 binds the IPv4 address, for which there may be no line. */
    return strcmp(given, canonical) == 0 && memcmp(out->bytes, mapped, sizeof mapped) != 0 ? 0 : -1;
}

int request_parse(int argc, char *const argv[], struct request *out)
{
    uint32_t port;

    memset(out, 0, sizeof *out);
    /* argc before argv: argv[1] of an empty argv is the environment (CVE-2021-4034). */
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        out->verb = VERSION;
        return 0;
    }
    if (argc < 3 || argc > 4 || strcmp(argv[1], "bind") != 0)
        return -1;
    out->verb = BIND;
    if (number_parse(argv[2], strlen(argv[2]), PORT_MAX, &port) != 0 || port == 0)
        return -1;
    out->port = (uint16_t)port;
    const char *address = argc == 4 ? argv[3] : "127.0.0.1";
    return address_parse(address, strlen(address), &out->address);
}
