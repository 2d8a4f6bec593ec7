/* What the harnesses compare the helper with: the same grammar, written again from the other end: a word is good if what
 * it means prints as that word (strtoull(3), inet_pton(3), inet_ntop(3)).  tests/lib/shim_model.py is a third writing. */
#ifndef LOCALD_FUZZ_ORACLE_H
#define LOCALD_FUZZ_ORACLE_H

#include "csrc/shim/shim.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says what does not hold, and ends the run: libFuzzer then keeps the input. */
#define MUST(truth) ((truth) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy with not one byte to spare, so that a read past its end is seen. */
static inline void *copy_of(const void *data, size_t size)
{
    void *copy = malloc(size);
    MUST(copy);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static inline int oracle_number(const char *text, unsigned long long least, unsigned long long most)
{
    const unsigned long long value = strtoull(text, NULL, 10);
    char printed[32];

    snprintf(printed, sizeof printed, "%llu", value);
    return strcmp(text, printed) == 0 && least <= value && value <= most;
}

/* As RFC 5952 has it.  inet_ntop() has an older habit: it prints the end of ::/96 as IPv4. */
static inline void oracle_print(const struct address *address, char out[INET6_ADDRSTRLEN])
{
    const uint8_t *b = address->bytes;

    MUST(inet_ntop(address->family, b, out, INET6_ADDRSTRLEN));
    if (address->family == AF_INET6 && strchr(out, '.'))
        sprintf(strrchr(out, ':') + 1, "%x:%x", b[12] << 8 | b[13], b[14] << 8 | b[15]);
}

static inline int oracle_address(const char *text, struct address *out)
{
    char canonical[INET6_ADDRSTRLEN];

    memset(out, 0, sizeof *out);
    out->family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(out->family, text, out->bytes) != 1)
        return 0;
    if (out->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)out->bytes))
        return 0;
    oracle_print(out, canonical);
    return strcmp(text, canonical) == 0;
}

#endif
