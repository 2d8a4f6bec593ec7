"""How many frames have begun, by the bytes of a connection alone (RFC 9113 section 4.1).

libnghttp2 drops some without a word: those of unknown types, DATA for streams that are closed.  It is the difference
between these and those that it tells of which says how many."""

from libc.stdint cimport uint8_t

cdef enum:
    FRAME_HEAD = 9


cdef struct Frames:
    size_t skip  # bytes until the next head
    size_t have  # bytes of that head
    uint8_t[3] size  # the first of them: the payload's length


cdef inline size_t count_frames(Frames *frames, const uint8_t *data, size_t size) noexcept:
    """The heads that have become whole by these bytes."""
    cdef size_t part, count = 0
    while size:
        if frames.skip:
            part = min(size, frames.skip)
            frames.skip -= part
            data, size = data + part, size - part
            continue
        if frames.have < 3:
            frames.size[frames.have] = data[0]
        part = min(size, FRAME_HEAD - frames.have) if frames.have >= 3 else 1
        frames.have += part
        data, size = data + part, size - part
        if frames.have == FRAME_HEAD:
            frames.skip = (<size_t> frames.size[0] << 16) | (<size_t> frames.size[1] << 8) | frames.size[2]
            frames.have = 0
            count += 1
    return count
