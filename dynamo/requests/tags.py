"""Tags of a table: which are valid, and what a set becomes.

Called by CreateTable, TagResource and UntagResource (API reference). Pure. Texts: public probes of the real service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from dynamo.errors import validation
from dynamo.limits import TAGS_PER_TABLE_MAX

Tag = dict[str, Any]

# Letters, digits and white space of any script, and these.
_VALID: Final = re.compile(r"[\w\s.:/=+\-@]*")


def check_tags(tags: Sequence[Tag]) -> None:
    """Keys and values of the tags of one request. Raises ValidationException."""
    seen: set[str] = set()
    for tag in tags:
        check_tag_keys([tag["Key"]])
        if not _VALID.fullmatch(tag["Value"]):
            raise validation(f"The Tag Value provided is invalid, Value: {tag['Value']}")
        if tag["Key"] in seen:
            raise validation(f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {tag['Key']}")
        seen.add(tag["Key"])
    check_tag_count(tags)


def check_tag_keys(keys: Iterable[str]) -> None:
    """Raises ValidationException for a key that no client may use."""
    for key in keys:
        if key.lower().startswith("aws:"):
            raise validation(f"Tag Key cannot be prefixed with aws:, Key: {key}")
        if not _VALID.fullmatch(key):
            raise validation(f"The Tag Key provided is invalid, Key: {key}")


def check_tag_count(tags: Sequence[Tag]) -> None:
    """Raises ValidationException for more tags than a table may have."""
    if len(tags) > TAGS_PER_TABLE_MAX:
        raise validation("Number of Tags exceed the current limit for the provided ResourceArn")


def merged_tags(present: Sequence[Tag], added: Sequence[Tag]) -> list[Tag]:
    """The set after TagResource. Raises ValidationException when it is too large."""
    merged = list(({tag["Key"]: tag for tag in present} | {tag["Key"]: tag for tag in added}).values())
    check_tag_count(merged)
    return merged
