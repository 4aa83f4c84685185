"""YAML text to plain values, remembering the line of every key.

Called by topology.settings only. Law: no Python object is ever built from a tag, a duplicate key is a problem and not a
silent overwrite, and every key that was read has a line to show in an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

# A settings file is three levels deep. The limit stops a recursive alias (`a: &x [*x]`) before the stack does.
DEPTH_MAX = 12
# An alias can repeat a subtree; without a limit a few lines of nested aliases expand to billions of values.
VALUES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a settings file: the line it is on (from 1), the path of the key, and the reason."""

    line: int
    path: Path
    reason: str

    def render(self, source: str) -> str:
        """`cluster.yaml:12: nodes[0].port: reason`."""
        where = render_path(self.path)
        return f"{source}:{self.line}: {where}: {self.reason}" if where else f"{source}:{self.line}: {self.reason}"


@dataclass(slots=True)
class Document:
    """A parsed file: its value, the line of every path in it, and what was wrong with the YAML itself."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """The line of `path`, or of its nearest ancestor that is in the file (a missing key has no line of its own)."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), 1)


def render_path(path: Path) -> str:
    """`("nodes", 0, "port")` as `nodes[0].port`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def parse(text: str) -> Document:
    """Read one YAML document. Syntax errors become problems; nothing is raised for any text."""
    document = Document()
    try:
        # SafeLoader's resolver types the scalars; compose keeps the marks that safe_load throws away.
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is not None:
                _Reader(loader, document).read(root, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        document.problems.append(Problem(line, (), f"not valid YAML: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        document.problems.append(Problem(1, (), f"not valid YAML: {' '.join(str(error).split())}"))
    except RecursionError:
        document.problems.append(Problem(1, (), "not valid YAML: nested too deeply"))
    return document


class _Reader:
    """Walks the node graph once, filling the document."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._values = 0

    def read(self, node: yaml.Node, path: Path) -> None:
        self._document.lines[()] = node.start_mark.line + 1
        self._document.value = self._value(node, path)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._values += 1
        if len(path) > DEPTH_MAX or self._values > VALUES_MAX:
            raise yaml.MarkedYAMLError(problem="nested too deeply or too large", problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.problems.append(Problem(line, path, "a key must be plain text"))
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in values:
                first = self._document.lines[here]
                self._document.problems.append(Problem(line, here, f"duplicate key, first given on line {first}"))
                continue
            self._document.lines[here] = line
            values[key] = self._value(value_node, here)
        return values

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> tuple[Any, ...]:
        values = []
        for number, element in enumerate(node.value):
            here = (*path, number)
            self._document.lines[here] = element.start_mark.line + 1
            values.append(self._value(element, here))
        return tuple(values)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            return self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            # `port: 0b` or `date: 2024-99-99` match a YAML type's pattern and then do not convert.
            line = node.start_mark.line + 1
            self._document.problems.append(Problem(line, path, f"not a valid value: {error}"))
            return None
