"""DynamoDB numbers as canonical decimal strings: up to 38 significant digits, magnitude 1E-130 to 9.99...E+125.

Called for every N and NS by dynamo.values, by expressions for arithmetic and by dynamo.keys for sort keys. Law: two
equal numbers have one text (plain notation, no exponent, no needless zero, never "-0"), so equality is string equality;
arithmetic is exact and is refused where it would not be.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Final

from dynamo.errors import DynamoError, validation
from dynamo.limits import NUMBER_DIGITS_MAX, NUMBER_EXPONENT_MAX, NUMBER_EXPONENT_MIN

_SYNTAX = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")

# Exact for any two canonical numbers: their digits span at most 126 + 130 + 38 places.
_EXACT = Context(prec=NUMBER_EXPONENT_MAX - NUMBER_EXPONENT_MIN + NUMBER_DIGITS_MAX + 2)

# The service reads an exponent as a 64-bit integer; the bound keeps int() from stalling on a megabyte of digits.
_EXPONENT_DIGITS_MAX = 19
_EXPONENT_WRITTEN_MAX = 2**63 - 1

# sort_bytes: two digits a byte. Byte 0 (255 for negative numbers) is kept for the end, so values start at 1.
_PAIR_BYTE: Final = {f"{pair:02d}": pair + 1 for pair in range(100)}
_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))
_ZERO_BYTES = b"\x80"
_POSITIVE = 0x81
_POSITIVE_END = 0x00


def normalize(text: str) -> str:
    """The canonical form of a number as a client wrote it: '1.0' -> '1', '1E2' -> '100', '-0' -> '0'.

    Accepts what java.math.BigDecimal reads ('+5', '.5', '5.', '1e-3'), in ASCII digits and without spaces.
    Raises ValidationException with DynamoDB's texts for bad syntax, overflow, underflow and too many digits.
    """
    # Two calls in C settle the usual number, a plain integer; isdigit alone accepts digits of other scripts.
    if text.isdigit() and text.isascii() and len(text) <= NUMBER_DIGITS_MAX and (text[0] != "0" or text == "0"):
        return text
    return _normalize_any(text)


def compare(left: str, right: str) -> int:
    """-1, 0 or 1 as `left` is less than, equal to or greater than `right`, both canonical."""
    if left == right:
        return 0
    if "." not in left and "." not in right:
        return -1 if int(left) < int(right) else 1
    return -1 if Decimal(left) < Decimal(right) else 1


def add(left: str, right: str) -> str:
    """`left` + `right` of canonical numbers, exact.

    Raises ValidationException when the result leaves the range or needs more than 38 digits.
    """
    # Eighteen digits: the sum cannot reach a limit, and small integers are the counters people increment.
    if len(left) <= 18 and len(right) <= 18 and "." not in left and "." not in right:
        return str(int(left) + int(right))
    return _normalize_any(format(_EXACT.add(Decimal(left), Decimal(right)), "f"))


def subtract(left: str, right: str) -> str:
    """`left` - `right` of canonical numbers, exact. Raises as `add` does."""
    if len(left) <= 18 and len(right) <= 18 and "." not in left and "." not in right:
        return str(int(left) - int(right))
    return _normalize_any(format(_EXACT.subtract(Decimal(left), Decimal(right)), "f"))


def sort_bytes(text: str) -> bytes:
    """An encoding of a canonical number whose byte order is the numeric order; 1 to 22 bytes.

    Layout: sign class, scientific exponent + 130, digit pairs + 1, an end byte. It is self-delimiting: no encoding is a
    prefix of another, so other bytes may follow. Negative numbers complement everything.
    """
    if text == "0":
        return _ZERO_BYTES
    negative = text[0] == "-"
    digits, exponent = _scientific(text[1:] if negative else text)
    if len(digits) & 1:
        digits += "0"
    encoded = bytes(
        [
            _POSITIVE,
            exponent - NUMBER_EXPONENT_MIN,
            *[_PAIR_BYTE[digits[at : at + 2]] for at in range(0, len(digits), 2)],
            _POSITIVE_END,
        ]
    )
    return encoded.translate(_COMPLEMENT) if negative else encoded


def size_bytes(text: str) -> int:
    """Bytes a canonical number counts for in an item; 1 to 22.

    One, plus one for each started pair of significant digits before the decimal point and again after it, plus one for
    a minus sign; zero takes one. Source: captured on the real service at the 400 KB boundary (dynamodb-conformance,
    numberByteSize); the developer guide gives it as "approximately" one byte for two digits plus one.
    """
    if text == "0":
        return 1
    sign = 1 if text[0] == "-" else 0
    whole, _, fraction = text[sign:].partition(".")
    if not fraction:
        return 1 + (len(whole.rstrip("0")) + 1) // 2 + sign
    if whole == "0":
        return 1 + (len(fraction.lstrip("0")) + 1) // 2 + sign
    return 1 + (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + sign


def _normalize_any(text: str) -> str:
    """`normalize` without the fast path."""
    if not text:
        raise validation("The parameter cannot be converted to a numeric value")
    match = _SYNTAX.fullmatch(text)
    if match is None:
        raise _not_numeric(text)
    sign, whole, fraction, exponent_text = match.groups()
    if not whole and not fraction:
        raise _not_numeric(text)
    digits = (whole + fraction if fraction else whole).lstrip("0")
    significant = digits.rstrip("0")
    exponent = _exponent(exponent_text, text) if exponent_text else 0
    # Zero is range-checked by the exponent it is written with: 0e126 overflows, 0e125 is 0.
    last = exponent + len(digits) - len(significant) - (len(fraction) if fraction and significant else 0)
    adjusted = last + max(len(significant) - 1, 0)
    if adjusted > NUMBER_EXPONENT_MAX:
        raise validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if adjusted < NUMBER_EXPONENT_MIN:
        raise validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    if not significant:
        return "0"
    if len(significant) > NUMBER_DIGITS_MAX:
        raise validation("Attempting to store more than 38 significant digits in a Number")
    plain = _plain(significant, last)
    return "-" + plain if sign == "-" else plain


def _exponent(written: str, text: str) -> int:
    """The exponent of `text`. Past 64 bits the service cannot convert the number at all."""
    digits = written.lstrip("+-").lstrip("0")
    value = int(digits or "0") if len(digits) <= _EXPONENT_DIGITS_MAX else _EXPONENT_WRITTEN_MAX + 1
    if value > _EXPONENT_WRITTEN_MAX:
        raise _not_numeric(text)
    return -value if written[0] == "-" else value


def _plain(significant: str, last: int) -> str:
    """Digits times ten to the power `last`, written without an exponent."""
    if last >= 0:
        return significant + "0" * last
    point = len(significant) + last
    if point > 0:
        return f"{significant[:point]}.{significant[point:]}"
    return f"0.{'0' * -point}{significant}"


def _scientific(text: str) -> tuple[str, int]:
    """Significant digits and scientific exponent of a canonical number above zero."""
    whole, _, fraction = text.partition(".")
    if whole == "0":
        digits = fraction.lstrip("0")
        return digits, len(digits) - len(fraction) - 1
    return (whole + fraction).rstrip("0"), len(whole) - 1


def _not_numeric(text: str) -> DynamoError:
    return validation(f"The parameter cannot be converted to a numeric value: {text}")
