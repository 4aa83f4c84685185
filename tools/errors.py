"""What the trizone command says instead of a traceback.

Raised anywhere under tools, caught once in tools.cli. Law: the text says what is wrong and, in `hint`, what to do next.
"""

from __future__ import annotations

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
