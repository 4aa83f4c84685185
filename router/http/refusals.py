"""Bodies of the answers that HTTP itself gives, before any operation sees the request.

Used by router.http.protocol. Law: a client that reads only `__type` and `message` learns what was wrong.
"""

from __future__ import annotations

MALFORMED = (
    b'{"__type":"com.amazon.coral.service#MalformedHttpRequestException","message":"The HTTP request is malformed"}'
)
HEADERS_TOO_LARGE = (
    b'{"__type":"com.amazon.coral.service#RequestHeaderFieldsTooLargeException",'
    b'"message":"The request header fields exceed the maximum allowed size"}'
)
# Recorded clients of the service see a bare 413; the body names the reason for people who look at the wire.
BODY_TOO_LARGE = (
    b'{"__type":"com.amazon.coral.service#RequestEntityTooLargeException",'
    b'"message":"The request body exceeds the maximum allowed size"}'
)
TIMED_OUT = (
    b'{"__type":"com.amazon.coral.service#RequestTimeoutException","message":"The request was not completed in time"}'
)
BUSY = b'{"__type":"com.amazon.coral.service#ServiceUnavailable","message":"Service is temporarily unavailable"}'
FAILED = b'{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}'
METHOD_NOT_ALLOWED = (
    b'{"__type":"com.amazon.coral.service#UnknownOperationException","message":"Only POST / and GET / are served"}'
)
