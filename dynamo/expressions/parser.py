"""What every expression grammar shares: the token stream, document paths, operands, function calls, faults.

The grammars of condition, update and projection derive from Parser; dynamo.expressions calls them through a cache.
Laws: nothing recurses with the input, open parentheses and calls live on explicit stacks, so no text exhausts the
Python stack; a syntax error is raised where it is met, any other fault is noted and raised after the whole text has
parsed, in the order in which the service reports them.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

from dynamo.expressions.faults import function_misused, invalid_expression
from dynamo.expressions.lexer import Token, TokenKind, syntax_error_detail, tokenize
from dynamo.expressions.nodes import Call, Operand, Path, PathElement, Value
from dynamo.expressions.reserved import is_reserved
from dynamo.limits import EXPRESSION_BYTES_MAX, EXPRESSION_OPERATORS_MAX, NESTING_LEVELS_MAX

CONDITION_FUNCTIONS = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"}
)
UPDATE_FUNCTIONS = frozenset({"if_not_exists", "list_append"})

# The service reads an index as a signed 32-bit integer.
LIST_INDEX_MAX = 2**31 - 1
_LIST_INDEX_DIGITS_MAX = 10

_WHITE_SPACE = " \t\r\n"

# Kinds of fault that do not stop the parse.
PARENTHESES = "parentheses"
RESERVED = "reserved"
FUNCTION_NAME = "function name"
FUNCTION_PLACE = "function place"
SECTION = "section"
INDEX = "index"
NESTING = "nesting"
IN_OPERANDS = "in operands"


class _OpenCall:
    """A function whose closing parenthesis has not been read."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: str) -> None:
        self.function = function
        self.arguments: list[Operand] = []


class Parser:
    """A token stream over one expression. `parameter` is the request member that error texts name."""

    # Identifiers with a meaning of their own in this grammar, in upper case; they are never names.
    keywords: ClassVar[frozenset[str]] = frozenset()
    # The order in which the service reports noted faults.
    fault_order: ClassVar[tuple[str, ...]] = ()
    # Functions an operand of another function may be.
    nestable_functions: ClassVar[frozenset[str]] = frozenset()
    # Conditions take `(a.b).c`, updates do not.
    continues_grouped_paths: ClassVar[bool] = False

    def __init__(self, text: str, parameter: str) -> None:
        self.parameter = parameter
        if not text.strip(_WHITE_SPACE):
            raise invalid_expression(parameter, "The expression can not be empty;")
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
        if size_bytes > EXPRESSION_BYTES_MAX:
            raise invalid_expression(
                parameter,
                f"Expression size has exceeded the maximum allowed size; expression size: {size_bytes}",
            )
        self._text = text
        self._tokens = tokenize(text)
        self._at = 0
        self._operators = 0
        self._faults: dict[str, str] = {}
        # Placeholders in reading order and calls in closing order, for the checks made with a request at hand.
        self.placeholders: list[str] = []
        self.calls: list[Call] = []

    # -- tokens

    def peek(self) -> Token:
        """The next token, not consumed."""
        return self._tokens[self._at]

    def next_is(self, symbol: str) -> bool:
        """Whether the next token is this symbol."""
        token = self._tokens[self._at]
        return token.kind is TokenKind.SYMBOL and token.text == symbol

    def take(self, symbol: str) -> bool:
        """Consume the next token if it is this symbol."""
        if self.next_is(symbol):
            self._at += 1
            return True
        return False

    def expect(self, symbol: str) -> None:
        """Consume this symbol or fail."""
        if not self.take(symbol):
            self.fail()

    def keyword(self) -> str:
        """The next token as a keyword of this grammar in upper case, or an empty string."""
        token = self._tokens[self._at]
        if token.kind is TokenKind.IDENTIFIER:
            upper = token.text.upper()
            if upper in self.keywords:
                return upper
        return ""

    def take_keyword(self, keyword: str) -> bool:
        """Consume the next token if it is this keyword."""
        if self.keyword() == keyword:
            self._at += 1
            return True
        return False

    def advance(self) -> Token:
        """Consume and return the next token."""
        token = self._tokens[self._at]
        self._at += 1
        return token

    def at_end(self) -> bool:
        """Whether the whole expression is consumed."""
        return self._tokens[self._at].kind is TokenKind.END

    def fail(self) -> NoReturn:
        """Raise the syntax error at the next token."""
        raise invalid_expression(self.parameter, syntax_error_detail(self._text, self._tokens, self._at))

    # -- faults

    def note(self, kind: str, detail: str) -> None:
        """Keep the first fault of a kind."""
        self._faults.setdefault(kind, detail)

    def raise_faults(self) -> None:
        """Raise the fault the service would report first, if there is one. Called when the whole text has parsed."""
        for kind in self.fault_order:
            if kind in self._faults:
                raise invalid_expression(self.parameter, self._faults[kind])

    def count_operator(self) -> None:
        """Count an operator or a function against the limit."""
        self._operators += 1
        if self._operators > EXPRESSION_OPERATORS_MAX:
            # Reported with the first count that is too large, whatever follows (seen on the service).
            raise invalid_expression(
                self.parameter,
                f"The expression contains too many operators; operator count: {self._operators}",
            )

    # -- shared rules

    def path(self) -> Path:
        """A document path, checked for reserved words, index range and depth."""
        return self.path_from((self._path_name(),))

    def path_from(self, start: tuple[PathElement, ...]) -> Path:
        """The rest of a document path that has begun."""
        elements = list(start)
        while True:
            if self.take("."):
                elements.append(self._path_name())
            elif self.take("["):
                elements.append(self._list_index())
                self.expect("]")
            else:
                break
        if len(elements) > NESTING_LEVELS_MAX:
            self.note(NESTING, f"The document path has too many nesting levels; nesting levels: {len(elements)}")
        return Path(tuple(elements))

    def value(self) -> Value:
        """A :placeholder."""
        token = self.peek()
        if token.kind is not TokenKind.VALUE:
            self.fail()
        self._at += 1
        self.placeholders.append(token.text)
        return Value(token.text)

    def operand(self) -> Operand:
        """A path, a :value or a function call, each possibly in parentheses."""
        # None marks an open parenthesis.
        unclosed: list[_OpenCall | None] = []
        while True:
            if self.take("("):
                unclosed.append(None)
                continue
            if self._begins_call():
                unclosed.append(_OpenCall(self._open_call()))
                continue
            operand: Operand = self.value() if self.peek().kind is TokenKind.VALUE else self.path()
            closed = self._close(operand, unclosed)
            if closed is not None:
                return closed

    def grouped(self, operand: Operand) -> Operand:
        """An operand whose parentheses have just been closed; a path may go on after them."""
        if self.continues_grouped_paths and isinstance(operand, Path) and (self.next_is(".") or self.next_is("[")):
            return self.path_from(operand.elements)
        return operand

    def note_redundant_parentheses(self) -> None:
        """Note parentheses directly inside parentheses."""
        self.note(PARENTHESES, "The expression has redundant parentheses;")

    def note_function(self, function: str) -> None:
        """Note a function that this grammar does not have. Each grammar answers."""
        raise NotImplementedError

    # -- parts of the rules

    def _close(self, operand: Operand, unclosed: list[_OpenCall | None]) -> Operand | None:
        """Close what ends after `operand`; None when a comma asks for the next argument of the innermost call."""
        just_grouped = False
        while unclosed:
            innermost = unclosed[-1]
            if innermost is None:
                self.expect(")")
                if just_grouped:
                    self.note_redundant_parentheses()
                continued = self.grouped(operand)
                just_grouped = continued is operand
                operand = continued
            else:
                innermost.arguments.append(operand)
                if self.take(","):
                    return None
                self.expect(")")
                operand = self._call(innermost)
                just_grouped = False
            unclosed.pop()
        return operand

    def _call(self, closing: _OpenCall) -> Call:
        """The finished call; functions that may not stand inside another one are noted."""
        for argument in closing.arguments:
            if isinstance(argument, Call) and argument.function not in self.nestable_functions:
                self.note(FUNCTION_PLACE, function_misused(argument.function))
        call = Call(closing.function, tuple(closing.arguments))
        self.calls.append(call)
        return call

    def _begins_call(self) -> bool:
        """Whether a name directly followed by an opening parenthesis comes next."""
        token = self._tokens[self._at]
        if token.kind is not TokenKind.IDENTIFIER or token.text.upper() in self.keywords:
            return False
        following = self._tokens[self._at + 1]
        return following.kind is TokenKind.SYMBOL and following.text == "("

    def _open_call(self) -> str:
        """Consume a function name and its opening parenthesis."""
        function = self.advance().text
        self._at += 1
        self.count_operator()
        self.note_function(function)
        return function

    def _path_name(self) -> str:
        """One name of a path: a bare name or a #placeholder."""
        token = self.peek()
        if token.kind is TokenKind.NAME:
            self._at += 1
            self.placeholders.append(token.text)
            return token.text
        if token.kind is not TokenKind.IDENTIFIER or token.text.upper() in self.keywords:
            self.fail()
        self._at += 1
        if is_reserved(token.text):
            self.note(RESERVED, f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
        return token.text

    def _list_index(self) -> int:
        """The number between brackets; one out of range is noted and read as the largest."""
        token = self.peek()
        if token.kind is not TokenKind.INTEGER:
            self.fail()
        self._at += 1
        if len(token.text) <= _LIST_INDEX_DIGITS_MAX and int(token.text) <= LIST_INDEX_MAX:
            return int(token.text)
        self.note(INDEX, f"List index is not within the allowable range; index: [{token.text}]")
        return LIST_INDEX_MAX
