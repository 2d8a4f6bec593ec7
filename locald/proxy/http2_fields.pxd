"""Fields as libnghttp2 takes them."""

from locald.proxy.cnghttp2 cimport nghttp2_nv
from locald.proxy.headers cimport Plan
from locald.proxy.http1 cimport Message, Request


cdef void set_field(nghttp2_nv *field, const char *name, size_t namelen, const char *value, size_t valuelen) noexcept
cdef size_t put_kept(Message message, Plan *planned, nghttp2_nv *fields)
cdef size_t put_list(list given, nghttp2_nv *fields)
cdef object add_field(Request request, bytes name, bytes value)
