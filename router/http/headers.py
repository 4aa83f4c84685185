"""The request headers this server reads, and a head written again without its offer to upgrade.

Called by router.http.protocol. Pure. Law: a header that is not named here has no influence on an answer.
"""

from __future__ import annotations

TARGET = 1
AUTHORIZATION = 2
EXPECT = 3
CONTENT_LENGTH = 4
UPGRADE = 5
TRANSFER_ENCODING = 6
HOST = 7
TRACE = 8
# By name in lower case.
KINDS = {
    b"x-amz-target": TARGET,
    b"authorization": AUTHORIZATION,
    b"expect": EXPECT,
    b"content-length": CONTENT_LENGTH,
    b"upgrade": UPGRADE,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"host": HOST,
    b"x-trizone-trace": TRACE,
}


def head_without_offer(method: bytes, path: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The whole head with its blank line; a header with an empty value was not there."""
    lines = [method + b" " + path + b" HTTP/1.1"]
    lines += (b"%b: %b" % (name, value) for name, value in headers if value)
    return b"\r\n".join(lines) + b"\r\n\r\n"
