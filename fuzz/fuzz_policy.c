/* The input is a request as a line of a policy has it, and after its LF the policy.  A first line that is no request
 * stands for 1000 127.0.0.1 80. */
#include "fuzz/oracle.h"

static int oracle_line(char *line, unsigned long long uid_last)
{
    struct address address;
    char *const first = strchr(line, ' ');
    char *const second = first ? strchr(first + 1, ' ') : NULL;

    if (!second)
        return 0;
    *first = *second = 0;
    const int good = oracle_number(line, 0, uid_last) && oracle_address(first + 1, &address) &&
                     oracle_number(second + 1, 1, 1023);
    *first = *second = ' ';
    return good;
}

/* Line by line, as strings: all good, no two alike, and one of them the request's. */
static enum code oracle_policy(const char *text, size_t size, const char *wanted)
{
    char *const copy = strndup(text, size);
    char **const lines = calloc(size + 1, sizeof *lines);
    size_t count = 0;
    enum code verdict = DENIED;

    MUST(copy && lines);
    int good = size <= 4096 && strlen(copy) == size && size > 0 && copy[size - 1] == '\n';
    for (char *at = copy, *feed; good && (feed = strchr(at, '\n')); at = feed + 1) {
        *feed = 0;
        lines[count++] = at;
    }
    good = good && strcmp(lines[0], "locald-ports 1") == 0;
    for (size_t i = 1; good && i < count; i++) {
        good = oracle_line(lines[i], 0xfffffffe);
        for (size_t j = 1; good && j < i; j++)
            good = strcmp(lines[i], lines[j]) != 0;
        if (good && strcmp(lines[i], wanted) == 0)
            verdict = GRANTED;
    }
    free(lines);
    free(copy);
    return good ? verdict : BAD_POLICY;
}

/* The request of the first line, which is then *wanted, or the one that stands for it. */
static uid_t read_wanted(char wanted[128], struct request *request)
{
    char words[128], *argv[] = {"", "bind", "80", "127.0.0.1", NULL};
    unsigned long long uid = 1000;

    if (oracle_line(wanted, 0xffffffff)) {
        strcpy(words, wanted);
        uid = strtoull(strtok(words, " "), NULL, 10);
        argv[3] = strtok(NULL, " ");
        argv[2] = strtok(NULL, " ");
    }
    MUST(request_parse(4, argv, request) == 0);
    snprintf(wanted, 128, "%llu %s %s", uid, argv[3], argv[2]);
    return (uid_t)uid;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const feed = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t first = feed ? (size_t)(feed - (const char *)data) : size;
    char wanted[128] = "";
    struct request request;

    if (first < sizeof wanted)
        memcpy(wanted, data, first);
    const uid_t uid = read_wanted(wanted, &request);
    const size_t skip = feed ? first + 1 : size;
    char *const text = copy_of(data + skip, size - skip);
    MUST(policy_decide(text, size - skip, uid, &request) == oracle_policy(text, size - skip, wanted));
    free(text);
    return 0;
}
