/* Every control buffer: no input of fdpass_collect() leads to undefined behaviour.
 *
 * Any bytes, of each size from 0 to the most that fdpass_recv() has room for, each size a case of its own; the buffer
 * ends where its object ends, so that a read of one byte too many is out of bounds. */
#include "libc.h"

#include "csrc/fdpass.c"

void prove(void)
{
    enum { ROOM = sizeof(union control) };
    static unsigned char bytes[ROOM];
    int out[FDPASS_ROOM], verdict;
    size_t count;

    Frama_C_make_unknown((char *)bytes, ROOM);
    const size_t size = Frama_C_size_t_interval(0, ROOM);
    //@ split size;
    //@ widen_hints global:"all", FDPASS_ROOM, ROOM;
    const struct msghdr msg = {.msg_control = bytes + (ROOM - size), .msg_controllen = size};
    verdict = fdpass_collect(&msg, out, &count);
    //@ check verdict == 0 || verdict == EBADMSG || verdict == ETOOMANYREFS;
    //@ check count <= FDPASS_ROOM;
}
