from collections.abc import Iterable, Iterator
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

class SortedDict(dict[K, V]):
    def irange(
        self, minimum: K | None = ..., maximum: K | None = ..., inclusive: tuple[bool, bool] = ...
    ) -> Iterator[K]: ...
    def keys(self) -> Iterable[K]: ...  # type: ignore[override]
