"""Text of an expression to tokens.

Called by the parser only. Law: every character of the text is white space or part of exactly one token, so an error can
name the token and its neighbours as the service does; a character outside the language becomes a token of its own that
no rule accepts.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class TokenKind(enum.Enum):
    """What a token is; keywords are identifiers, each grammar knows its own."""

    IDENTIFIER = "identifier"
    NAME = "name"  # #placeholder of an attribute name
    VALUE = "value"  # :placeholder of an attribute value
    INTEGER = "integer"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `start` and `end` are character offsets into the expression."""

    kind: TokenKind
    text: str
    start: int
    end: int


# A name starts with a letter; a placeholder goes on with any of the word characters. White space is only these four.
_TOKEN = re.compile(
    r"(?P<IDENTIFIER>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<NAME>\#[A-Za-z0-9_]+)"
    r"|(?P<VALUE>:[A-Za-z0-9_]+)"
    r"|(?P<INTEGER>[0-9]+)"
    r"|(?P<SYMBOL><>|<=|>=|[^ \t\r\n])"
)

END_TEXT = "<EOF>"


def tokenize(text: str) -> list[Token]:
    """Tokens of `text` in order, closed by one END token. Never raises."""
    tokens = [
        Token(TokenKind[match.lastgroup or "SYMBOL"], match.group(), match.start(), match.end())
        for match in _TOKEN.finditer(text)
    ]
    # The end stands where the last token ends, so that `near` shows no trailing white space.
    end = tokens[-1].end if tokens else 0
    tokens.append(Token(TokenKind.END, END_TEXT, end, end))
    return tokens


def syntax_error_detail(text: str, tokens: list[Token], at: int) -> str:
    """The detail `Syntax error; token: "b", near: "a b c"`: the token and the source from its left to its right."""
    token = tokens[at]
    start = tokens[max(at - 1, 0)].start
    end = tokens[min(at + 1, len(tokens) - 1)].end
    return f'Syntax error; token: "{token.text}", near: "{text[start:end]}"'
