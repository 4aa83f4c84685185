"""Text of a PartiQL statement to tokens.

Called by the parser only. Law: white space and comments end here; a character or a literal outside the language is a
fault of the whole statement, told without detail as the service does.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from dynamo.partiql.faults import malformed
from dynamo.partiql.keywords import KEYWORDS


class TokenKind(enum.Enum):
    """What a token is. OPERATOR holds symbols and the words that stand between two operands."""

    IDENTIFIER = "identifier"
    QUOTED = "quoted"
    KEYWORD = "keyword"
    OPERATOR = "operator"
    STRING = "string"
    NUMBER = "number"
    ION = "ion"
    PARAMETER = "parameter"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is its value (keywords in lower case, literals without quotes), `start` and `end` its place."""

    kind: TokenKind
    text: str
    start: int
    end: int


_WORD_OPERATORS = frozenset({"and", "or", "is", "in", "between", "like", "union", "intersect", "except"})
_TOKEN = re.compile(
    r"(?P<SPACE>[ \t\r\n\f\v]+|--[^\n]*|/\*.*?\*/)"
    r"|(?P<WORD>[A-Za-z_$][A-Za-z0-9_$]*)"
    r"|(?P<NUMBER>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<STRING>'(?:[^']|'')*')"
    r"|(?P<QUOTED>\"(?:[^\"]|\"\")*\")"
    r"|(?P<ION>`[^`]*`)"
    r"|(?P<PARAMETER>\?)"
    r"|(?P<SYMBOL><<|>>|[()\[\]{},:.;])"
    r"|(?P<OPERATOR><>|!=|<=|>=|\|\||/(?!\*)|[=<>+\-*%])",
    re.DOTALL,
)
# The service reads exponent and scale of a number as signed 32-bit integers.
_INT32_MAX = 2**31 - 1


def tokenize(text: str) -> list[Token]:
    """The tokens in order, closed by one END token. Raises ValidationException."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise malformed("")
        group = match.lastgroup
        if group != "SPACE":
            assert group is not None, "every alternative of the expression is named"
            tokens.append(_token(group, match.group(), at, match.end()))
        at = match.end()
    end = tokens[-1].end if tokens else 0
    tokens.append(Token(TokenKind.END, "", end, end))
    return tokens


def _token(group: str, raw: str, start: int, end: int) -> Token:
    if group == "WORD":
        lower = raw.lower()
        if lower in _WORD_OPERATORS:
            return Token(TokenKind.OPERATOR, lower, start, end)
        if lower in KEYWORDS:
            return Token(TokenKind.KEYWORD, lower, start, end)
        return Token(TokenKind.IDENTIFIER, raw, start, end)
    if group == "STRING":
        return Token(TokenKind.STRING, raw[1:-1].replace("''", "'"), start, end)
    if group == "QUOTED":
        return Token(TokenKind.QUOTED, raw[1:-1].replace('""', '"'), start, end)
    if group == "NUMBER":
        _check_number(raw)
    return Token(TokenKind[group], raw, start, end)


def _check_number(raw: str) -> None:
    mantissa, _, exponent_text = raw.lower().partition("e")
    digits = exponent_text.lstrip("+-0")
    if len(digits) > len(str(_INT32_MAX)):
        raise malformed("")
    exponent = int(exponent_text) if exponent_text else 0
    scale = len(mantissa.partition(".")[2]) - exponent
    if abs(exponent) > _INT32_MAX or abs(scale) > _INT32_MAX:
        raise malformed("")
