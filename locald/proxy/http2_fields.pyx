"""Fields as libnghttp2 takes them: pointers into bytes that must be there until it has copied them.  [pure]"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from locald.proxy.chttp1 cimport HTTP1_FIELDS_MAX, http1_span
from locald.proxy.cnghttp2 cimport nghttp2_nv
from locald.proxy.headers cimport Plan
from locald.proxy.http1 cimport Message, Request


cdef void set_field(nghttp2_nv *field, const char *name, size_t namelen, const char *value, size_t valuelen) noexcept:
    field.name, field.namelen = <uint8_t *> name, namelen
    field.value, field.valuelen = <uint8_t *> value, valuelen
    field.flags = 0


cdef size_t put_kept(Message message, Plan *planned, nghttp2_nv *fields):
    """The fields of a message that go on; how many they are."""
    cdef const char *start = PyBytes_AS_STRING(message.data) + message.base
    cdef http1_span name, value
    cdef size_t i, count = 0
    for i in range(message.head.count):
        if planned.keep[i]:
            name, value = message.head.fields[i].name, message.head.fields[i].value
            set_field(&fields[count], start + name.at, name.size, start + value.at, value.size)
            count += 1
    return count


cdef size_t put_list(list given, nghttp2_nv *fields):
    """Fields that are a list; it must be there until nghttp2 has copied them.  There is place for 100."""
    cdef size_t count = 0
    cdef bytes name, value
    if len(given) > HTTP1_FIELDS_MAX:
        raise ValueError("too many fields")
    for name, value in given:
        set_field(
            &fields[count], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
            PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
        )
        count += 1
    return count


cdef object add_field(Request request, bytes name, bytes value):
    """Give a request one more field; whether there was room for it."""
    cdef size_t at = PyBytes_GET_SIZE(request.data) - request.base
    if request.head.count == HTTP1_FIELDS_MAX:
        return False
    request.data = request.data + name + value
    request.head.fields[request.head.count].name = http1_span(at, PyBytes_GET_SIZE(name))
    request.head.fields[request.head.count].value = http1_span(at + PyBytes_GET_SIZE(name), PyBytes_GET_SIZE(value))
    request.head.count += 1
    request.known = None
    return True
