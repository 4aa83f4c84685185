"""The grammar of PartiQL expressions.

Called by the grammar of statements. Law: one token of look-ahead; levels of the grammar and of the tree that comes of
it are both counted (operators in a row make a deep tree of a flat text), so no text exhausts the Python stack.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from dynamo.errors import DynamoError, validation
from dynamo.partiql.faults import TOO_DEEP, malformed
from dynamo.partiql.keywords import FUNCTION_KEYWORDS, TYPE_NAMES
from dynamo.partiql.lexer import Token, TokenKind, tokenize
from dynamo.partiql.nodes import (
    Call,
    Expression,
    IsType,
    Literal,
    Missing,
    Operation,
    Parameter,
    Path,
    Sequence,
    Struct,
)

# Parentheses, brackets, calls, prefixes and operators inside one another; each takes a few frames of the Python stack.
NESTING_EXPRESSIONS_MAX = 100
_LIST_INDEX_MAX = 2**31 - 1
# int() refuses a text of thousands of digits.
_LIST_INDEX_DIGITS_MAX = len(str(_LIST_INDEX_MAX))

_BINDING = {
    "or": 1,
    "and": 2,
    "=": 4,
    "<>": 4,
    "!=": 4,
    "is": 4,
    "in": 4,
    "<": 5,
    "<=": 5,
    ">": 5,
    ">=": 5,
    "between": 5,
    "like": 5,
    "+": 6,
    "-": 6,
    "||": 6,
    "*": 7,
    "/": 7,
    "%": 7,
}
_NOT_BINDING = 3
_COMPARISON_BINDING = 5
_PREFIX_BINDING = 8
_NEGATABLE = frozenset({"in", "between", "like"})


class ExpressionParser:
    """A token stream over one statement, and the rules of expressions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parameters = 0
        # The first fault that is not of the grammar: it is told only of a statement that parses.
        self.fault: DynamoError | None = None
        self._tokens = tokenize(text)
        self._at = 0
        self._depth = 0

    # The token stream.

    def peek(self) -> Token:
        """The next token."""
        return self._tokens[self._at]

    def advance(self) -> Token:
        """Consume the next token; END stays."""
        token = self._tokens[self._at]
        if token.kind is not TokenKind.END:
            self._at += 1
        return token

    def at_word(self, word: str, ahead: int = 0) -> bool:
        """Whether a keyword or a word operator comes, `ahead` tokens from here."""
        token = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return token.kind in (TokenKind.KEYWORD, TokenKind.OPERATOR) and token.text == word

    def take_word(self, word: str) -> bool:
        """Consume this keyword if it comes."""
        if self.at_word(word):
            self._at += 1
            return True
        return False

    def at_symbol(self, symbol: str, ahead: int = 0) -> bool:
        """Whether this symbol or operator comes, `ahead` tokens from here."""
        token = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return token.kind in (TokenKind.SYMBOL, TokenKind.OPERATOR) and token.text == symbol

    def take(self, symbol: str) -> bool:
        """Consume this symbol if it comes."""
        if self.at_symbol(symbol):
            self._at += 1
            return True
        return False

    def expect(self, symbol: str, name: str) -> None:
        """Consume this symbol, or refuse the statement."""
        if not self.take(symbol):
            raise malformed(f"Expected {name}")

    def note(self, error: DynamoError) -> None:
        """Remember a fault that is told once the statement has parsed."""
        if self.fault is None:
            self.fault = error

    # Expressions.

    def expression(self, binding: int = 0) -> Expression:
        """One expression whose operators bind tighter than `binding`. Raises ValidationException."""
        self._depth += 1
        if self._depth > NESTING_EXPRESSIONS_MAX:
            raise malformed(TOO_DEEP)
        left = self._prefix()
        while True:
            operator, tokens = self._infix()
            if operator is None or _BINDING[operator] <= binding:
                break
            left = self._continued(left, operator, tokens)
        self._depth -= 1
        return left

    def _infix(self) -> tuple[str | None, int]:
        """The operator that comes, with how many tokens it takes: NOT before IN, BETWEEN and LIKE is part of it."""
        token = self.peek()
        if token.kind is TokenKind.OPERATOR and token.text in _BINDING:
            return token.text, 1
        if self.at_word("not"):
            for operator in _NEGATABLE:
                if self.at_word(operator, 1):
                    return operator, 2
        return None, 0

    def _continued(self, left: Expression, operator: str, tokens: int) -> Expression:
        negated = tokens == 2
        if negated:
            self.advance()
        token = self.advance()
        node: Expression
        if operator == "is":
            negated = self.take_word("not")
            depth = _depth_above((left,))
            node = IsType(left, self._type_name(), start=token.start, length=token.end - token.start, depth=depth)
        elif operator == "between":
            low = self._right(_COMPARISON_BINDING)
            if not self.take_word("and"):
                raise malformed("Expected AND after BETWEEN")
            node = _operation(token, operator, left, low, self._right(_COMPARISON_BINDING))
        elif operator == "in":
            node = _operation(token, operator, left, self._in_list())
        elif operator in ("and", "or") and isinstance(left, Operation) and left.operator == operator:
            node = _with_operand(left, token, self._right(_BINDING[operator]))
        else:
            node = _operation(token, operator, left, self._right(_BINDING[operator]))
        return _operation(token, "not", node) if negated else node

    def _right(self, binding: int) -> Expression:
        if self._ends_here():
            raise malformed("Missing right-hand side expression of infix operator")
        return self.expression(binding)

    def _ends_here(self) -> bool:
        return self.peek().kind is TokenKind.END or self.at_symbol(";")

    def _type_name(self) -> str:
        token = self.advance()
        name = token.text.lower()
        if token.kind not in (TokenKind.IDENTIFIER, TokenKind.KEYWORD) or name not in TYPE_NAMES:
            raise malformed("Expected type name")
        if name == "double" and self.peek().text == "precision":
            self.advance()
            return "double precision"
        if name == "character" and self.take_word("varying"):
            return "character varying"
        return name

    def _in_list(self) -> Expression:
        """The right side of IN: `(a, b)` is a list there, whatever its length."""
        token = self.peek()
        if self.take("("):
            items = self._items(")", "right parenthesis")
            return Sequence("list", items, start=token.start, length=1, depth=_depth_above(items))
        return self._right(_BINDING["in"])

    def _items(self, closing: str, name: str) -> tuple[Expression, ...]:
        if self.take(closing):
            return ()
        items = [self.expression()]
        while self.take(","):
            items.append(self.expression())
        self.expect(closing, name)
        return tuple(items)

    def _prefix(self) -> Expression:
        token = self.peek()
        if token.kind is TokenKind.OPERATOR:
            if token.text not in ("+", "-"):
                raise malformed("Unexpected term" if token.text == "*" else "Unexpected operator")
            self.advance()
            return _signed(token, self.expression(_PREFIX_BINDING))
        if self.take_word("not"):
            return _operation(token, "not", self.expression(_NOT_BINDING))
        return self._term()

    def _term(self) -> Expression:
        token = self.advance()
        place = {"start": token.start, "length": token.end - token.start}
        match token.kind:
            case TokenKind.STRING:
                return Literal("S", token.text, **place)
            case TokenKind.NUMBER:
                return Literal("N", token.text, **place)
            case TokenKind.ION:
                return Literal("ION", token.text, **place)
            case TokenKind.PARAMETER:
                self.parameters += 1
                return Parameter(self.parameters - 1, **place)
            case TokenKind.IDENTIFIER | TokenKind.QUOTED:
                if token.kind is TokenKind.IDENTIFIER and self.at_symbol("("):
                    return self._call(token)
                return self._path(token)
            case TokenKind.KEYWORD:
                return self._keyword_term(token)
            case TokenKind.SYMBOL:
                return self._bracketed(token)
        raise malformed("Unexpected term")

    def _keyword_term(self, token: Token) -> Expression:
        place = {"start": token.start, "length": token.end - token.start}
        if token.text in ("true", "false"):
            return Literal("BOOL", token.text, **place)
        if token.text == "null":
            return Literal("NULL", token.text, **place)
        if token.text == "missing":
            return Missing(**place)
        if token.text in FUNCTION_KEYWORDS and self.at_symbol("("):
            return self._call(token)
        if token.text == "from":
            self.from_first()
        raise malformed("Unexpected keyword")

    def from_first(self) -> NoReturn:
        """FROM where a term should stand: the reference grammar reads the FROM-first form of an update there."""
        raise NotImplementedError

    def _call(self, token: Token) -> Expression:
        self.advance()
        if token.text == "count" and self.take("*"):
            self.expect(")", "right parenthesis")
            arguments: tuple[Expression, ...] = ()
        else:
            arguments = self._items(")", "right parenthesis")
        depth = _depth_above(arguments)
        return Call(token.text.lower(), arguments, start=token.start, length=token.end - token.start, depth=depth)

    def _bracketed(self, token: Token) -> Expression:
        if token.text == "(":
            inner = self.expression()
            self.expect(")", "right parenthesis")
            return inner
        if token.text == "[":
            items = self._items("]", "right bracket")
            return Sequence("list", items, start=token.start, length=1, depth=_depth_above(items))
        if token.text == "<<":
            items = self._items(">>", "right double angle bracket")
            return Sequence("bag", items, start=token.start, length=2, depth=_depth_above(items))
        if token.text == "{":
            return self._struct(token)
        raise malformed("Unexpected term")

    def _struct(self, token: Token) -> Expression:
        members: list[tuple[Expression, Expression]] = []
        while not self.take("}"):
            if members:
                self.expect(",", "comma")
            key = self.expression()
            self.expect(":", "colon")
            members.append((key, self.expression()))
        depth = _depth_above([part for member in members for part in member])
        return Struct(tuple(members), start=token.start, length=1, depth=depth)

    # Paths.

    def _path(self, token: Token) -> Expression:
        elements: list[str | int | None] = [token.text]
        while True:
            if self.take("."):
                elements.append(self._member())
            elif self.take("["):
                elements.append(self._index())
                self.expect("]", "right bracket")
            else:
                break
        if "" in elements:
            self.note(validation("Path component cannot be an empty string"))
        return Path(tuple(elements), start=token.start, length=token.end - token.start)

    def _member(self) -> str | None:
        token = self.advance()
        if token.kind in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
            return token.text
        if token.kind is TokenKind.OPERATOR and token.text == "*":
            self.note(validation("Unpivot path component like a.*.b are not supported"))
            return None
        raise malformed("Invalid path dot component")

    def _index(self) -> str | int | None:
        if self.take("*"):
            self.note(validation("Wildcard path component like a[*].b are not supported"))
            return None
        inner = self.expression()
        if isinstance(inner, Literal):
            if inner.kind == "S":
                return inner.text
            if inner.kind == "N" and inner.text.isdigit():
                digits = inner.text.lstrip("0") or "0"
                if len(digits) <= _LIST_INDEX_DIGITS_MAX and int(digits) <= _LIST_INDEX_MAX:
                    return int(digits)
                self.note(validation(f"List index is not within the allowable range; index: [{inner.text}]"))
                return None
        self.note(validation("Unexpected path component"))
        return None


def _depth_above(below: Collection[Expression]) -> int:
    """The depth of a node above these. Raises ValidationException when that is too deep."""
    depth = 1 + max([node.depth for node in below], default=0)
    if depth > NESTING_EXPRESSIONS_MAX:
        raise malformed(TOO_DEEP)
    return depth


def _operation(token: Token, operator: str, *operands: Expression) -> Operation:
    depth = _depth_above(operands)
    return Operation(operator, operands, start=token.start, length=token.end - token.start, depth=depth)


def _with_operand(left: Operation, token: Token, operand: Expression) -> Operation:
    """An AND or OR with one more operand; the ones that it has are not looked at again."""
    depth = max(left.depth, _depth_above((operand,)))
    length = token.end - token.start
    return Operation(left.operator, (*left.operands, operand), start=token.start, length=length, depth=depth)


def _signed(token: Token, operand: Expression) -> Expression:
    """A sign before a number is part of the number; before anything else it is an operator."""
    if isinstance(operand, Literal) and operand.kind == "N":
        if token.text == "+":
            return operand
        text = operand.text[1:] if operand.text[0] == "-" else f"-{operand.text}"
        return Literal("N", text, start=operand.start, length=operand.length)
    return _operation(token, f"unary {token.text}", operand)
