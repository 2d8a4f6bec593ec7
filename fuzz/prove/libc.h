/* What POSIX and C11 promise of the library functions that the pure parts call, in ACSL: the analysis sees these
 * contracts and not their code.  Each call must satisfy what they require, and of a result no more is believed than is
 * said. */
#include <__fc_builtin.h>
#include <__fc_string_axiomatic.h>

#include <arpa/inet.h>
#include <string.h>

/*@ requires room: \valid((char *)dest + (0 .. n - 1));
    requires source: \valid_read((char *)src + (0 .. n - 1));
    requires initialized: \initialized((char *)src + (0 .. n - 1));
    requires separated: \separated((char *)dest + (0 .. n - 1), (char *)src + (0 .. n - 1));
    assigns ((char *)dest)[0 .. n - 1] \from ((char *)src)[0 .. n - 1];
    assigns \result \from dest;
    ensures \result == dest; */
extern void *memcpy(void *restrict dest, const void *restrict src, size_t n);

/*@ requires room: \valid((char *)s + (0 .. n - 1));
    assigns ((char *)s)[0 .. n - 1] \from c;
    assigns \result \from s;
    ensures \result == s; */
extern void *memset(void *s, int c, size_t n);

/*@ requires source: \valid_read((char *)s + (0 .. n - 1));
    requires initialized: \initialized((char *)s + (0 .. n - 1));
    assigns \result \from s, indirect:((char *)s)[0 .. n - 1], indirect:c, indirect:n;
    ensures \result == \null || \subset((char *)\result, (char *)s + (0 .. n - 1)); */
extern void *memchr(const void *s, int c, size_t n);

/*@ requires first: \valid_read((char *)a + (0 .. n - 1));
    requires second: \valid_read((char *)b + (0 .. n - 1));
    requires initialized: \initialized((char *)a + (0 .. n - 1)) && \initialized((char *)b + (0 .. n - 1));
    assigns \result \from indirect:((char *)a)[0 .. n - 1], indirect:((char *)b)[0 .. n - 1]; */
extern int memcmp(const void *a, const void *b, size_t n);

/*@ requires string: valid_read_string(s);
    assigns \result \from indirect:s[0 ..];
    ensures \result == strlen(s); */
extern size_t strlen(const char *s);

/*@ requires first: valid_read_string(a);
    requires second: valid_read_string(b);
    assigns \result \from indirect:a[0 ..], indirect:b[0 ..]; */
extern int strcmp(const char *a, const char *b);

/*@ requires family: af == AF_INET || af == AF_INET6;
    requires string: valid_read_string(src);
    requires room: \valid((char *)dst + (0 .. (af == AF_INET ? 4 : 16) - 1));
    assigns \result \from indirect:af, indirect:src[0 ..];
    assigns ((char *)dst)[0 .. (af == AF_INET ? 4 : 16) - 1] \from indirect:af, src[0 ..];
    ensures \result == 0 || \result == 1; */
extern int inet_pton(int af, const char *restrict src, void *restrict dst);
