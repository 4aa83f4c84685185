"""What happened in a run, line by line, for the person who replays a seed. Pure.

Filled by simulation.world when a story is wanted, shown by simulation.__main__. Law: a line is about the whole cluster,
about one group, or about one key of a group; a narrowed story holds all lines that could concern what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at_s: float
    text: str
    # None: not about one group, not about one key.
    group: int | None
    key: str | None

    def __str__(self) -> str:
        return f"{self.at_s:.6f} {self.text}"


@dataclass(slots=True)
class Story:
    """Every line of a run, from its beginning."""

    lines: list[Line] = field(default_factory=list)

    def add(self, at_s: float, text: str, *, group: int | None, key: str | None) -> None:
        """Append a line; times never fall."""
        self.lines.append(Line(at_s, text, group, key))

    def of(self, *, group: int | None = None, key: str | None = None) -> list[Line]:
        """The lines about one key, or about one group and all keys of it; faults and the like are always among them."""
        if key is not None:
            return [line for line in self.lines if line.key == key or (line.key is None and line.group is None)]
        if group is not None:
            return [line for line in self.lines if line.group == group or (line.key is None and line.group is None)]
        return self.lines
