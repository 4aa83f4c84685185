"""Random request bodies from the official service model: nearly right, then spoiled.

Used by test_conformance_fuzz.py. Law: everything comes from the given random source, so a seed repeats a run.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

from botocore.model import ServiceModel, Shape
from botocore.session import get_session

DEPTH_MAX = 6
WORDS = [
    "a", "pk", "sk", "#n", ":v", "=", "<", "<>", ">=", "(", ")", ",", ".", "[0]", "AND", "OR", "NOT", "IN", "BETWEEN",
    "SET", "REMOVE", "ADD", "DELETE", "begins_with", "size", "attribute_exists", "if_not_exists", "list_append", "+",
    "-", "SELECT", "*", "FROM", "WHERE", "INSERT", "INTO", "VALUE", "UPDATE", "{", "}", "<<", ">>", "'x'", '"', "'",
    "?", "1", "1e400", "é", "\x00", "💥", "status", "--", "/*", "ORDER BY", "RETURNING ALL OLD *", "IS MISSING",
]  # fmt: skip
JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 1.5, 2**31, 2**63, -(2**63) - 1, 10**40, "", "a", "x" * 300, "\x00", "💥", [], {},
    [[]], [None], {"": None}, {"S": "a"}, {"N": "1"}, {"S": "a", "N": "1"}, {"N": "NaN"}, {"B": "no base64!"},
    {"SS": []}, {"L": [{"L": [{}]}]}, {"M": {"a": None}}, {"X": 1}, [{"S": "a"}], "NaN", "1e999", "true",
]  # fmt: skip


def operations() -> dict[str, Shape]:
    """Every operation of the API and its input."""
    loader = get_session().get_component("data_loader")
    model = ServiceModel(loader.load_service_model("dynamodb", "service-2"))
    return {name: model.operation_model(name).input_shape for name in model.operation_names}


class RequestMaker:
    """Makes bodies; `tables` and `arns` are names that exist."""

    def __init__(self, random: Random, tables: list[str], arns: list[str]) -> None:
        self._random = random
        # A name of this run's own: whoever else uses the endpoint keeps what is theirs.
        absent = f"conformance-fuzz-{random.randrange(10**12)}"
        self._strings: dict[str, list[str]] = {
            "TableName": [*tables, *tables, absent, "ab", "bad name", *arns],
            "TableArn": [*tables, *tables, *arns, absent, "arn:aws:dynamodb:x"],
            "ResourceArnString": [*arns, *arns, "arn", "arn:aws:dynamodb:us-east-1:000000000000:table/absent-table"],
            "IndexName": ["gsi", "lsi", "absent", "a"],
            "AttributeName": ["pk", "sk", "g", "a", "b.c", ""],
            "KeySchemaAttributeName": ["pk", "sk", "g", "l", "new"],
            "NumberAttributeValue": ["1", "-0.5", "1e125", "1e126", "abc", "", "0" * 50, "1" * 39],
        }

    def body(self, shape: Shape) -> bytes:
        """One body: as the model has it, with some of it exchanged, or with its bytes disturbed."""
        random = self._random
        document = self._value(shape, 0)
        for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
            document = self._spoil(document)
        text = json.dumps(document, ensure_ascii=random.random() < 0.5).encode()
        return self._disturb(text) if random.random() < 0.1 else text

    # --- as the model has it ------------------------------------------------------------------------------------------

    def _value(self, shape: Shape, depth: int) -> Any:
        kind = shape.type_name
        makers: dict[str, Callable[[Shape, int], Any]] = {
            "structure": self._structure,
            "list": self._list,
            "map": self._map,
            "string": self._string,
        }
        if kind in makers:
            return makers[kind](shape, depth)
        random = self._random
        if kind in ("integer", "long"):
            return random.choice((0, 1, 2, 5, 25, 100, -1, 2**31 - 1))
        if kind == "boolean":
            return random.random() < 0.5
        if kind == "blob":
            return base64.b64encode(random.randbytes(random.randrange(5))).decode()
        return random.choice((0, 1.5, 1_700_000_000))

    def _structure(self, shape: Any, depth: int) -> Any:
        members, random = dict(shape.members), self._random
        if shape.name == "AttributeValue":
            # A union: one of its members.
            members = {name: members[name] for name in (random.choice(["S", "S", "N", "N", "B", *members]),)}
        chosen = {}
        for name, member in members.items():
            wanted = 0.97 if name in shape.required_members or len(members) == 1 else 0.3
            if depth < DEPTH_MAX and random.random() < wanted:
                chosen[name] = self._value(member, depth + 1)
        return chosen

    def _list(self, shape: Any, depth: int) -> Any:
        if depth >= DEPTH_MAX:
            return []
        return [self._value(shape.member, depth + 1) for _ in range(self._random.choice((0, 1, 1, 2, 3)))]

    def _map(self, shape: Any, depth: int) -> Any:
        if depth >= DEPTH_MAX:
            return {}
        count = self._random.choice((0, 1, 1, 2, 3))
        return {self._map_key(shape): self._value(shape.value, depth + 1) for _ in range(count)}

    def _map_key(self, shape: Any) -> str:
        pools = {
            "ExpressionAttributeValueVariable": [":v", ":w", "v", ":"],
            "ExpressionAttributeNameVariable": ["#n", "#m", "n", "#"],
        }
        pool = pools.get(shape.key.name) or self._strings.get(shape.key.name) or ["pk", "sk", "a"]
        return self._random.choice(pool)

    def _string(self, shape: Any, _depth: int) -> str:
        random = self._random
        if shape.enum and random.random() < 0.9:
            found: str = random.choice(shape.enum)
            return found
        if shape.name in self._strings:
            return random.choice(self._strings[shape.name])
        if "xpression" in shape.name or "Statement" in shape.name or "Projection" in shape.name:
            return self._text()
        return random.choice(["a", "pk", "x" * random.randrange(300), "é", ""])

    def _text(self) -> str:
        random = self._random
        templates = [
            "a = :v", "pk = :v", "pk = :v AND sk > :w", "SET a = :v", "REMOVE a", "#n = :v", "a, b.c[0]",
            "SELECT * FROM \"{t}\" WHERE pk = 'a'", "DELETE FROM \"{t}\" WHERE pk = ? AND sk = 1",
        ]  # fmt: skip
        if random.random() < 0.6:
            return random.choice(templates).replace("{t}", self._strings["TableName"][0])
        return " ".join(random.choice(WORDS) for _ in range(random.randrange(12)))

    # --- spoiled ------------------------------------------------------------------------------------------------------

    def _spoil(self, document: Any) -> Any:
        """Exchange one node, anywhere, or take it away."""
        random = self._random
        if not isinstance(document, dict | list) or not document or random.random() < 0.15:
            return random.choice(JUNK)
        if isinstance(document, dict):
            name = random.choice(list(document))
            if random.random() < 0.15:
                return {other: document[other] for other in document if other != name}
            return document | {name: self._spoil(document[name])}
        at = random.randrange(len(document))
        return [*document[:at], self._spoil(document[at]), *document[at + 1 :]]

    def _disturb(self, text: bytes) -> bytes:
        """Cut, repeat or change bytes of the body."""
        random = self._random
        at = random.randrange(len(text) + 1)
        return random.choice(
            [text[:at], text + text, text[:at] + random.randbytes(3) + text[at:], text[:at] + b"\xff" + text[at + 1 :]]
        )
