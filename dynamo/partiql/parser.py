"""The grammar of PartiQL statements.

Called by dynamo.partiql.parse_statement through a cache. Law: faults of the grammar are told where they are met; every
other fault of the statement is noted and told once the whole text has parsed.
"""

from __future__ import annotations

from typing import NoReturn

from dynamo.errors import validation
from dynamo.partiql.expressions import ExpressionParser
from dynamo.partiql.faults import (
    ALIASING,
    EMPTY_PATH_COMPONENT,
    EXISTS_OUTSIDE_TRANSACTION,
    located,
    malformed,
)
from dynamo.partiql.lexer import TokenKind
from dynamo.partiql.nodes import (
    Assignment,
    DeleteTree,
    Expression,
    InsertTree,
    IsType,
    Literal,
    Missing,
    OrderTerm,
    Parameter,
    Path,
    Returning,
    SelectTree,
    Sequence,
    Source,
    StatementTree,
    Struct,
    UpdateTree,
)

_LEFTOVER = "Unexpected token after expression"
_SOURCE_NAMES_MAX = 2
_DML_SOURCE = "FROM clause may only contain a single table name in data manipulation statements"
_MULTIPLE_INSERT = (
    "Unsupported operation: Inserting multiple items in a single statement is not supported, use "
    '"INSERT INTO tableName VALUE item" instead'
)
# What the service calls an expression that stands in the place of a statement.
_EXPRESSION_NAMES: dict[type[Expression], str] = {
    Literal: "Literal",
    Missing: "LiteralMissing",
    Parameter: "Parameter",
    Path: "VariableReference",
    Sequence: "Seq",
    Struct: "Struct",
    IsType: "IsType",
}


class StatementParser(ExpressionParser):
    """Parses one statement."""

    def parse(self) -> StatementTree:
        """The statement. Raises ValidationException."""
        tree = self._statement()
        self.take(";")
        if self.peek().kind is not TokenKind.END:
            raise malformed(_LEFTOVER)
        if self.fault is not None:
            raise self.fault
        assert tree is not None, "what is no statement has noted a fault"
        return tree

    def _statement(self) -> StatementTree | None:
        if self.take_word("select"):
            return self._select()
        if self.take_word("insert"):
            return self._insert()
        if self.take_word("update"):
            return self._update()
        if self.take_word("delete"):
            return self._delete()
        if self.take_word("from"):
            return self._from_first_update()
        if self.at_word("exists") and self.at_word("select", 2):
            self._exists()
            return None
        expression = self.expression()
        name = _EXPRESSION_NAMES.get(type(expression), "NAry")
        self.note(validation(f"Unsupported operation: {name}"))
        return None

    def from_first(self) -> NoReturn:
        """Read as a FROM-first update, which nothing but a whole statement may be."""
        self._from_first_update()
        raise malformed(_LEFTOVER)

    def _exists(self) -> None:
        self.advance()
        self.expect("(", "left parenthesis")
        self.take_word("select")
        self._select()
        self.expect(")", "right parenthesis")
        self.note(validation(EXISTS_OUTSIDE_TRANSACTION))

    # SELECT.

    def _select(self) -> SelectTree:
        if self.at_word("distinct"):
            self.note(validation("Unsupported clause: DISTINCT"))
        if not self.take_word("distinct"):
            self.take_word("all")
        projection = self._projection()
        if not self.take_word("from"):
            raise malformed("Expected FROM")
        source = self._select_source()
        where = self.expression() if self.take_word("where") else None
        self._unsupported_clause("group", "GROUP BY", by=True)
        self._unsupported_clause("having", "HAVING")
        order = self._order()
        self._unsupported_clause("limit", "LIMIT")
        return SelectTree(projection, source, where, order)

    def _projection(self) -> tuple[Expression, ...] | None:
        if self.at_word("value") or self.at_word("pivot"):
            self.advance()
            self.note(validation("Select projection doesn't support value or pivot keywords"))
        items: list[Expression] = []
        star = False
        while True:
            if self.take("*"):
                star = True
            else:
                items.append(self.expression())
                self._refuse_alias()
            if not self.take(","):
                break
        if not star:
            return tuple(items)
        if items:
            self.note(validation("Other attributes should not be present in the projection when '*' is used."))
        return None

    def _select_source(self) -> Source:
        token = self.peek()
        if token.kind not in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
            self.expression()
            self.note(validation("Unexpected from source"))
            return Source(("",))
        source = self._source()
        self._refuse_alias()
        if self.at_symbol(","):
            self.advance()
            self._source()
            self._refuse_alias()
            self.note(validation("Only select from a single table or index is supported."))
        return source

    def _order(self) -> tuple[OrderTerm, ...]:
        if not self.take_word("order"):
            return ()
        if not self.take_word("by"):
            raise malformed("Expected BY")
        terms = []
        while True:
            expression = self.expression()
            descending = self.take_word("desc")
            if not descending:
                self.take_word("asc")
            terms.append(OrderTerm(expression, descending))
            if not self.take(","):
                return tuple(terms)

    def _unsupported_clause(self, word: str, name: str, *, by: bool = False) -> None:
        if not self.take_word(word):
            return
        if by:
            self.take_word("by")
        token = self.peek()
        self.expression()
        while by and self.take(","):
            self.expression()
        self.note(located(f"Unsupported clause: {name}", self.text, token.start, token.end - token.start))

    # INSERT, UPDATE, DELETE.

    def _insert(self) -> InsertTree:
        if not self.take_word("into"):
            raise malformed("Expected INTO")
        source = self._simple_source()
        if len(source.names) > 1:
            self.note(validation(_DML_SOURCE))
        if self.take_word("value"):
            value = self.expression()
        elif self.peek().kind in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
            raise malformed(_LEFTOVER)
        else:
            value = self.expression()
            self.note(validation(_MULTIPLE_INSERT))
        if self._returning() is not None:
            self.note(validation("RETURNING is not supported in INSERT"))
        return InsertTree(source, value)

    def _update(self) -> UpdateTree:
        source = self._simple_source()
        self._refuse_alias()
        assignments = self._assignments()
        where = self.expression() if self.take_word("where") else None
        return UpdateTree(source, assignments, where, self._returning())

    def _from_first_update(self) -> UpdateTree:
        source = self._simple_source()
        self._refuse_alias()
        where = self.expression() if self.take_word("where") else None
        return UpdateTree(source, self._assignments(), where, self._returning())

    def _delete(self) -> DeleteTree:
        if not self.take_word("from"):
            raise malformed("Expected FROM")
        source = self._simple_source()
        self._refuse_alias()
        where = self.expression() if self.take_word("where") else None
        return DeleteTree(source, where, self._returning())

    def _assignments(self) -> tuple[Assignment, ...]:
        assignments: list[Assignment] = []
        while True:
            if self.take_word("set"):
                assignments.append(self._assignment())
                while self.take(","):
                    assignments.append(self._assignment())
            elif self.take_word("remove"):
                assignments.append(Assignment(self._target(), None))
            elif assignments:
                return tuple(assignments)
            else:
                raise malformed("Expected data manipulation")

    def _assignment(self) -> Assignment:
        path = self._target()
        self.expect("=", "= in a SET")
        return Assignment(path, self.expression())

    def _target(self) -> Expression:
        token = self.peek()
        if token.kind not in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
            raise malformed("Expected identifier for simple path")
        return self._term()

    def _returning(self) -> Returning | None:
        if not self.take_word("returning"):
            return None
        returning = self._returning_element()
        while self.take(","):
            self._returning_element()
            self.note(validation("Invalid syntax with multiple returning elements in RETURNING clause"))
        return returning

    def _returning_element(self) -> Returning:
        everything = self.take_word("all")
        if not everything and not self.take_word("modified"):
            raise malformed("Expected ALL or MODIFIED in a RETURNING clause")
        new = self.take_word("new")
        if not new and not self.take_word("old"):
            raise malformed("Expected NEW or OLD in a RETURNING clause")
        if not self.take("*"):
            self.expression()
            self.note(validation("Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause"))
        return Returning(everything, new)

    # Tables.

    def _simple_source(self) -> Source:
        if self.peek().kind not in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
            raise malformed("Expected identifier for simple path")
        return self._source()

    def _source(self) -> Source:
        names = [self.advance().text]
        while self.take("."):
            token = self.advance()
            if token.kind not in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
                raise malformed("Invalid path dot component")
            names.append(token.text)
        if self.at_symbol("["):
            self.note(validation("Invalid list expression in source."))
            self.advance()
            self.expression()
            self.expect("]", "right bracket")
        if len(names) > _SOURCE_NAMES_MAX:
            self.note(validation("A path may contain at most 2 components in the FROM clause"))
        if "" in names:
            self.note(validation(EMPTY_PATH_COMPONENT))
        return Source(tuple(names))

    def _refuse_alias(self) -> None:
        """`AS name`, or just a name, after a table or a projected path."""
        if self.take_word("as"):
            if self.peek().kind not in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
                raise malformed("Expected identifier for alias")
        elif self.peek().kind not in (TokenKind.IDENTIFIER, TokenKind.QUOTED):
            return
        self.advance()
        self.note(validation(ALIASING))
