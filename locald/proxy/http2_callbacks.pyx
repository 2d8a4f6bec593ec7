"""What nghttp2 calls: each finds its Session, and hands on.  [pure]

An exception is kept in the Session until its feed() or take() can raise it.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t

from locald.proxy.cnghttp2 cimport *
from locald.proxy.http2 cimport SPANS_MAX, Bucket, Session, check
from locald.proxy.http2_strand cimport Piece, Strand


cdef enum:
    END_HEADERS = 4  # RFC 9113 sections 6.2 and 6.10


cdef int failed(Session me, object error) noexcept:
    if me._failure is None:
        me._failure = error
    return NGHTTP2_ERR_CALLBACK_FAILURE


cdef bint brings_nothing(Session me, const nghttp2_frame_hd *head) noexcept:
    """Whether a frame, by its head, is one that costs a token."""
    cdef bint known
    if head.type == NGHTTP2_SETTINGS and head.flags & NGHTTP2_FLAG_ACK:
        return False
    if head.type != NGHTTP2_DATA and head.type != NGHTTP2_HEADERS:
        return True
    known = nghttp2_session_get_stream_user_data(me._session, head.stream_id) is not NULL
    if head.type == NGHTTP2_DATA:
        return not known or (head.length == 0 and not head.flags & NGHTTP2_FLAG_END_STREAM)
    return not known and head.stream_id <= nghttp2_session_get_last_proc_stream_id(me._session)


cdef int on_begin_frame(nghttp2_session *_, const nghttp2_frame_hd *head, void *data) noexcept:
    cdef Session me = <Session> data
    cdef Bucket *spent
    me._told += 1
    try:
        if me._count and (head.type != NGHTTP2_DATA or head.stream_id != me._filling.id):
            me._deliver()
    except BaseException as error:
        return failed(me, error)
    if head.flags & END_HEADERS:
        me.in_head = False
    if head.type == NGHTTP2_PRIORITY and head.stream_id == 0:
        return NGHTTP2_ERR_CALLBACK_FAILURE  # a connection error (RFC 9113 section 6.3), which nghttp2 no longer sees
    spent = &me._resets if head.type == NGHTTP2_RST_STREAM else &me._frames
    return NGHTTP2_ERR_CALLBACK_FAILURE if brings_nothing(me, head) and me._spend(spent) else 0


cdef int on_begin_headers(nghttp2_session *_, const nghttp2_frame *frame, void *data) noexcept:
    cdef Session me = <Session> data
    cdef bint first = frame.headers.cat == NGHTTP2_HCAT_REQUEST
    me._head.begin()
    me.in_head = not frame.hd.flags & END_HEADERS
    if first and len(me.strands) >= <Py_ssize_t> me._streams_max:
        me._head.ignored = True
        return nghttp2_submit_rst_stream(me._session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM)
    return 0


cdef int on_header(
    nghttp2_session *_, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
    size_t valuelen, uint8_t flags, void *data
) noexcept:
    cdef Session me = <Session> data
    if not me._head.ignored:
        me._field(name, namelen, value, valuelen)
    return NGHTTP2_ERR_CALLBACK_FAILURE if me._exhausted or me._failure is not None else 0


cdef int on_invalid_header(
    nghttp2_session *_, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
    size_t valuelen, uint8_t flags, void *data
) noexcept:
    # To nghttp2 it would be a field to leave out; here the message is malformed (RFC 9113 section 8.2.1).
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE


cdef int on_data(
    nghttp2_session *_, uint8_t flags, int32_t id, const uint8_t *text, size_t size, void *data
) noexcept:
    cdef Session me = <Session> data
    cdef void *found = nghttp2_session_get_stream_user_data(me._session, id)
    try:
        if found is NULL:  # refused, and its reset is on its way
            check(nghttp2_session_consume_connection(me._session, size))
            return 0
        if me._count == SPANS_MAX:
            me._deliver()
        me._filling = <Strand> found
        me._filling._uncredited += size
        me._spans[me._count] = Piece(text, size)
        me._count += 1
    except BaseException as error:
        return failed(me, error)
    return 0


cdef int on_frame(nghttp2_session *_, const nghttp2_frame *frame, void *data) noexcept:
    cdef Session me = <Session> data
    cdef bint ends = frame.hd.flags & NGHTTP2_FLAG_END_STREAM
    cdef void *found
    try:
        if frame.hd.type == NGHTTP2_HEADERS:
            me._head_done(frame.hd.stream_id, ends, frame.headers.cat == NGHTTP2_HCAT_REQUEST)
        elif frame.hd.type == NGHTTP2_DATA:
            if ends:
                me._body_done(frame.hd.stream_id)
            elif frame.hd.length and frame.hd.length == frame.data.padlen and me._spend(&me._frames):
                return NGHTTP2_ERR_CALLBACK_FAILURE
        elif frame.hd.type == NGHTTP2_PRIORITY_UPDATE:
            if (<nghttp2_ext_priority_update *> frame.ext.payload).stream_id == 0:
                return NGHTTP2_ERR_CALLBACK_FAILURE  # the same (RFC 9218 section 7.1)
        elif frame.hd.type == NGHTTP2_RST_STREAM:
            found = nghttp2_session_get_stream_user_data(me._session, frame.hd.stream_id)
            if found is not NULL:
                (<Strand> found).was_reset = True
        elif frame.hd.type == NGHTTP2_PING:
            if me._noticed and frame.hd.flags & NGHTTP2_FLAG_ACK:
                me._say_final()
        elif frame.hd.type == NGHTTP2_GOAWAY:
            me.going_away(frame.goaway.error_code)
    except BaseException as error:
        return failed(me, error)
    return NGHTTP2_ERR_CALLBACK_FAILURE if me._exhausted else 0


cdef int on_sent(nghttp2_session *_, const nghttp2_frame *frame, void *data) noexcept:
    cdef Session me = <Session> data
    try:
        me._sent(frame)
    except BaseException as error:
        return failed(me, error)
    return 0


cdef int on_close(nghttp2_session *_, int32_t id, uint32_t code, void *data) noexcept:
    cdef Session me = <Session> data
    try:
        me._close(id, code)
    except BaseException as error:
        return failed(me, error)
    return 0


cdef ssize_t on_read(
    nghttp2_session *_, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags, nghttp2_data_source *source,
    void *data
) noexcept:
    cdef Session me = <Session> data
    try:
        return me._read(<Strand> source.ptr, length, flags)
    except BaseException as error:
        return failed(me, error)


cdef int on_send_data(
    nghttp2_session *_, nghttp2_frame *frame, const uint8_t *head, size_t size, nghttp2_data_source *source, void *data
) noexcept:
    cdef Session me = <Session> data
    if me._used >= me._most:
        return NGHTTP2_ERR_WOULDBLOCK  # in the next take(): nghttp2 would go on with all frames of DATA that there are
    try:
        me._send_data(<Strand> source.ptr, head, size)
    except BaseException as error:
        return failed(me, error)
    return 0


cdef nghttp2_session_callbacks *CALLBACKS = NULL
check(nghttp2_session_callbacks_new(&CALLBACKS))
nghttp2_session_callbacks_set_on_begin_frame_callback(CALLBACKS, on_begin_frame)
nghttp2_session_callbacks_set_on_begin_headers_callback(CALLBACKS, on_begin_headers)
nghttp2_session_callbacks_set_on_header_callback(CALLBACKS, on_header)
nghttp2_session_callbacks_set_on_invalid_header_callback(CALLBACKS, on_invalid_header)
nghttp2_session_callbacks_set_on_data_chunk_recv_callback(CALLBACKS, on_data)
nghttp2_session_callbacks_set_on_frame_recv_callback(CALLBACKS, on_frame)
nghttp2_session_callbacks_set_on_frame_send_callback(CALLBACKS, on_sent)
nghttp2_session_callbacks_set_on_stream_close_callback(CALLBACKS, on_close)
nghttp2_session_callbacks_set_send_data_callback(CALLBACKS, on_send_data)


cdef nghttp2_session_callbacks *callbacks() noexcept:
    """For a new session, be it a server's or a client's."""
    return CALLBACKS


cdef nghttp2_data_provider body_of(object strand) noexcept:
    """Where the body of a message comes from that goes out on a Strand, which must outlive it."""
    cdef nghttp2_data_provider provider
    provider.source.ptr = <void *> strand
    provider.read_callback = on_read
    return provider
