"""A fault that is another one each time, chosen by the seed.

Law: what is chosen and whom it hits follows from the seed and the moment; each choice is healed like any other fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from chaos.faults.base import Arena, Fault, State, Steps


class Mix(Fault):
    """One of several faults, chosen by the seed each time."""

    # Filled by chaos.faults.registry, which knows all others.
    known: ClassVar[dict[str, type[Fault]]] = {}

    fault: Literal["mix"]
    # Faults without `at`, `for`, `every` and `times`, which are this one's.
    of: tuple[dict[str, Any], ...]

    @field_validator("of")
    @classmethod
    def _each_is_a_fault(cls, of: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        if not of:
            raise ValueError("must name at least one fault")
        for values in of:
            cls.make(values)
        return of

    @classmethod
    def make(cls, values: dict[str, Any]) -> Fault:
        """The fault that `values` describe. Raises ValueError."""
        word = values.get("fault")
        if word not in cls.known:
            raise ValueError(f"there is no fault {word!r} to choose; known: {', '.join(cls.known)}")
        return cls.known[word].model_validate({**values, "at": 0, "for": 0})

    @property
    def uses_injection(self) -> bool:
        """Does one of its faults?"""
        return any(fault.uses_injection for fault in self.parts)

    @property
    def parts(self) -> Sequence[Fault]:
        """All that it chooses from."""
        return [self.make(values) for values in self.of]

    def inject(self, arena: Arena, state: State) -> Steps | None:
        """Choose, and inject that."""
        chosen = self.make(arena.rng.choice(self.of))
        state.kept["chosen"] = chosen
        state.is_chosen = True
        state.word = str(getattr(chosen, "fault", ""))
        return chosen.inject(arena, state)

    def heal(self, arena: Arena, state: State) -> None:
        """Heal what was chosen."""
        chosen: Fault | None = state.kept.get("chosen")
        if chosen is not None:
            chosen.heal(arena, state)
