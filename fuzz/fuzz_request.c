/* The input is a command line without its first word, each word ended by a NUL as in /proc/PID/cmdline. */
#include "fuzz/oracle.h"

enum { WORDS = 6 };

static int oracle_request(int argc, char *const argv[], struct address *address)
{
    if (argc < 3 || argc > 4 || strcmp(argv[1], "bind") != 0)
        return 0;
    return oracle_number(argv[2], 1, 1023) && oracle_address(argc == 4 ? argv[3] : "127.0.0.1", address);
}

static void check(int argc, char *const argv[])
{
    struct request request;
    struct address address;
    char port[16], printed[INET6_ADDRSTRLEN];

    const int status = request_parse(argc, argv, &request);
    const int is_version = argc == 2 && strcmp(argv[1], "version") == 0;
    MUST(status == 0 || status == -1);
    MUST((status == 0) == (is_version || oracle_request(argc, argv, &address)));
    if (status != 0)
        return;
    MUST(request.verb == (is_version ? VERSION : BIND));
    if (is_version)
        return;
    /* Whatever was read prints as it was written: nothing has two spellings. */
    MUST(request.port >= 1 && request.port <= PORT_MAX);
    snprintf(port, sizeof port, "%u", request.port);
    MUST(strcmp(port, argv[2]) == 0);
    oracle_print(&request.address, printed);
    MUST(strcmp(printed, argc == 4 ? argv[3] : "127.0.0.1") == 0);
    MUST(request.address.family == address.family);
    MUST(memcmp(request.address.bytes, address.bytes, sizeof address.bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS + 1] = {strdup("locald-shim")};
    int argc = 1;

    for (size_t at = 0; at < size && argc < WORDS; argc++) {
        words[argc] = strndup((const char *)data + at, size - at);
        MUST(words[argc]);
        at += strlen(words[argc]) + 1;
    }
    char **argv = copy_of(words, sizeof *argv * (size_t)(argc + 1));
    check(argc, argv);
    struct request request;
    MUST(request_parse(0, NULL, &request) == -1); /* CVE-2021-4034 */
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    free(argv);
    return 0;
}
