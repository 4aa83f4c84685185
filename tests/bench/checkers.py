"""How long the checkers of histories take: `python tests/bench/checkers.py [CALLS]`.

Run by hand from the project's root; its figures are in histories/OVERVIEW.md. Law: histories of a single copy from
seed 1, and the same with a lie at the end, which is what makes a search look everywhere.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

from histories.linearizability import Judgement, examine
from histories.records import Action, Call
from histories.search import search
from histories.singlecopy import COUNTER, LIST, REGISTER_WITHOUT_DELETE, Shape, mutations, single_copy

SEED = 1
CASES = {
    "registers, 8 clients, 1,000 calls a key": (Shape(calls=1000, unknown_share=0.02), 1),
    "one register, 32 clients, 5,000 calls a key": (Shape(clients=32, calls=5000), 1),
    "the same without deletions": (Shape(actions=REGISTER_WITHOUT_DELETE, clients=32, calls=5000), 1),
    "a counter, 32 clients, 5,000 calls a key": (Shape(actions=COUNTER, clients=32, calls=5000), 1),
    "a list, 32 clients, 1,000 calls a key": (Shape(actions=LIST, clients=32, calls=1000), 1),
    "search: 20 values written again, 4 clients": (
        Shape(actions=(Action.READ, Action.PUT, Action.SWAP_IF), clients=4, calls=200, values=20),
        10,
    ),
}


def measured(name: str, histories: list[list[Call]], *, by_search: bool = False) -> None:
    """Judge all and print calls/s and verdicts."""
    began = time.perf_counter()
    judgements: list[Judgement] = [search(calls) if by_search else examine(calls) for calls in histories]
    seconds = time.perf_counter() - began
    calls = sum(map(len, histories))
    verdicts = Counter(judgement.verdict.name for judgement in judgements)
    print(f"{name:62} {calls:7} calls {seconds:7.2f} s {calls / seconds:9.0f} calls/s  {dict(verdicts)}", flush=True)


def main() -> None:
    """Judge about CALLS calls (100,000) of each case."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for name, (shape, fewer) in CASES.items():
        draw = random.Random(SEED)
        histories = [single_copy(draw, shape, f"k{key}") for key in range(max(1, wanted // fewer // shape.calls))]
        measured(name, histories)
        measured("  with a lie at the end", [next(iter(mutations(draw, calls).values())) for calls in histories])
        if "8 clients" in name:
            measured("  by the search of Wing, Gong and Lowe", histories, by_search=True)


if __name__ == "__main__":
    main()
