/* The whole internal interface of locald-shim.  main.c tells the story; each other file is one chapter. */
#ifndef LOCALD_SHIM_H
#define LOCALD_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROTOCOL = 1 };                /* locald/shim.py has the same number */
enum { PORT_MAX = 1023, TIME_S = 5 }; /* the ports that are privileged; the alarm */
enum { POLICY_MAX = 4096 };           /* bytes */

/* The exit codes of the contract: locald/refusal.py makes an exception of each. */
enum code {
    GRANTED = 0,
    USAGE = 64,
    BAD_INPUT,
    BAD_POLICY,
    DENIED,
    NO_PRIVILEGE,
    IN_USE,
    NO_ADDRESS,
    SYSTEM,
    PEER_GONE,
};

struct address {
    int family; /* AF_INET or AF_INET6 */
    uint8_t bytes[16];
};

struct request {
    enum { VERSION, BIND } verb;
    uint16_t port;
    struct address address;
};

/* request.c, pure.  0, or -1 for anything that is not in the one canonical form. */
int request_parse(int argc, char *const argv[], struct request *out);
int number_parse(const char *text, size_t size, uint32_t max, uint32_t *out);
int address_parse(const char *text, size_t size, struct address *out);

/* policy.c, pure: GRANTED, DENIED or BAD_POLICY. */
enum code policy_decide(const char *text, size_t size, uid_t uid, const struct request *request);

/* policyfile.c: the bytes of the policy file, if it is root's alone.  0 or -1. */
int policyfile_read(char text[POLICY_MAX], size_t *size);

/* sockets.c: whether fd is a connected Unix stream whose other end is this user's; and a listener in *fd, or why not. */
int stream_is_of(int fd, uid_t uid);
enum code listener_open(const struct request *request, int *fd);

#endif
