"""What the trizone command says instead of a traceback.

Raised anywhere under tools, caught once in tools.cli. Law: the text says what is wrong and, in `hint`, what to do next.
"""

from __future__ import annotations

import errno

EXIT_FAILED = 1
EXIT_USAGE = 2


class CommandError(Exception):
    """A failure with a reader: exit code 1 (it did not work) or 2 (it was asked wrongly)."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


class InterruptedByUser(Exception):
    """The user asked the command to end while it was waiting."""


def explain(error: OSError) -> CommandError:
    """What the operating system refused, and what a person can do about it."""
    path = error.filename if isinstance(error.filename, str) else ""
    reason = error.strerror or str(error) or type(error).__name__
    where = f" {path}" if path else ""
    hint = {
        errno.ENOSPC: "make room on the disk, then try again",
        errno.EDQUOT: "make room within the disk quota, then try again",
        errno.EROFS: "choose a folder that can be written with --data DIR",
        errno.EACCES: f"run this as the user who owns{where or ' it'}, or choose another folder with --data DIR",
        errno.EPERM: f"run this as the user who owns{where or ' it'}, or choose another folder with --data DIR",
        errno.EMFILE: "raise the limit of open files (ulimit -n), then try again",
    }.get(error.errno or 0, "mend that, then try again")
    return CommandError(f"{path}: {reason}" if path else reason, hint=hint)
