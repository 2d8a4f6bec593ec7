/* Every command line and every policy: no input of request.c and policy.c leads to undefined behaviour.
 *
 * Command lines: at most five words (no more than argv[3] is ever read) of any bytes, of each length up to the most that
 * Linux passes on, MAX_ARG_STRLEN; the last NUL of a word is its object's last byte, argv[argc] the last of argv.
 *
 * Policies: any bytes, of each size from 0 to POLICY_MAX + 1, each size a case of its own; the text ends where its
 * object ends, so that a read of one byte too many is out of bounds.  Any uid, and any request at all. */
#include "libc.h"

#include "csrc/shim/policy.c"
#include "csrc/shim/request.c"

static void prove_request(void)
{
    enum { WORDS = 5, ROOM = 131072 };
    static char words[WORDS][ROOM];
    static char *argv[WORDS + 1];
    struct request request;
    int status;

    const int argc = Frama_C_interval(0, WORDS);
    //@ split argc;
    //@ loop unroll WORDS;
    for (int i = 0; i < argc; i++) {
        Frama_C_make_unknown(words[i], ROOM - 1);
        argv[WORDS - argc + i] = words[i];
    }
    status = request_parse(argc, argv + (WORDS - argc), &request);
    //@ check status == 0 || status == -1;
    //@ check status == 0 ==> request.port <= PORT_MAX;
}

static void prove_policy(void)
{
    enum { ROOM = POLICY_MAX + 1 };
    static char text[ROOM];
    struct request request;
    enum code verdict;

    Frama_C_make_unknown(text, ROOM);
    Frama_C_make_unknown((char *)&request, sizeof request);
    const uid_t uid = Frama_C_unsigned_int_interval(0, (uid_t)-1);
    const size_t size = Frama_C_size_t_interval(0, ROOM);
    //@ split size;
    //@ widen_hints global:"all", sizeof(struct word), ROOM;
    verdict = policy_decide(text + (ROOM - size), size, uid, &request);
    //@ check verdict == GRANTED || verdict == DENIED || verdict == BAD_POLICY;
}

void prove(void)
{
    prove_request();
    prove_policy();
}
