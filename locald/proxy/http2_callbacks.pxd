"""What nghttp2 calls, for those who make a session."""

from locald.proxy.cnghttp2 cimport nghttp2_data_provider, nghttp2_session_callbacks


cdef nghttp2_session_callbacks *callbacks() noexcept
cdef nghttp2_data_provider body_of(object strand) noexcept
