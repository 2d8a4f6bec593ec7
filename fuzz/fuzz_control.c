/* The input is the control part of a received message, byte for byte as this machine's kernel would write it. */
#include "fuzz/oracle.h"

#include "csrc/fdpass.h"

#include <errno.h>

/* By the C library's own macros, which can be trusted once each length is known to be within what came. */
static int oracle_collect(struct msghdr *msg, int out[FDPASS_ROOM], size_t *count)
{
    const unsigned char *const end = (unsigned char *)msg->msg_control + msg->msg_controllen;
    int verdict = 0;

    *count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head; head = CMSG_NXTHDR(msg, head)) {
        if (head->cmsg_len < sizeof *head || head->cmsg_len > (size_t)(end - (unsigned char *)head))
            return EBADMSG;
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            verdict = EBADMSG;
        for (size_t i = 0; head->cmsg_type == SCM_RIGHTS && head->cmsg_level == SOL_SOCKET; i++) {
            if (CMSG_LEN((i + 1) * sizeof(int)) > head->cmsg_len)
                break;
            if (*count == FDPASS_ROOM)
                return ETOOMANYREFS;
            memcpy(out + (*count)++, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
        }
    }
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *const bytes = copy_of(data, size);
    int *const out = malloc(sizeof(int) * FDPASS_ROOM);
    int expected[FDPASS_ROOM];
    size_t count, wanted;
    struct msghdr msg = {.msg_control = bytes, .msg_controllen = size};

    MUST(out);
    MUST(fdpass_collect(&msg, out, &count) == oracle_collect(&msg, expected, &wanted));
    MUST(count <= FDPASS_ROOM && count == wanted);
    MUST(memcmp(out, expected, sizeof(int) * count) == 0);
    free(out);
    free(bytes);
    return 0;
}
