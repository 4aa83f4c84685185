"""Numbers: canonical text, exact arithmetic, order, encoded order, size."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo import numbers
from dynamo.errors import DynamoError

pytestmark = pytest.mark.unit

OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
PRECISION = "Attempting to store more than 38 significant digits in a Number"
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"

EXACT = Context(prec=1000)


def refusal(text: str) -> str:
    with pytest.raises(DynamoError) as caught:
        numbers.normalize(text)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def attempt(action: Callable[..., str], *arguments: str) -> tuple[str | None, str]:
    """The result, or None and the refusal."""
    try:
        return action(*arguments), ""
    except DynamoError as error:
        return None, error.message


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("0", "0", id="zero"),
        pytest.param("-0", "0", id="negative zero is zero"),
        pytest.param("0.000", "0", id="zero with a fraction"),
        pytest.param("0e125", "0", id="zero with an exponent in range"),
        pytest.param("1.0", "1", id="trailing fraction zeros go"),
        pytest.param("0042.1200", "42.12", id="leading and trailing zeros go"),
        pytest.param("+5", "5", id="plus sign goes"),
        pytest.param(".5", "0.5", id="a bare fraction gets its zero"),
        pytest.param("5.", "5", id="a bare point goes"),
        pytest.param("-.5e1", "-5", id="sign, point and exponent"),
        pytest.param("1E2", "100", id="upper-case exponent"),
        pytest.param("1e+2", "100", id="signed exponent"),
        pytest.param("1e-0005", "0.00001", id="exponent with leading zeros"),
        pytest.param("12345.678e-3", "12.345678", id="point moves left inside"),
        pytest.param("12345.678e2", "1234567.8", id="point moves right inside"),
        pytest.param("1" + "0" * 37, "1" + "0" * 37, id="38 digits"),
        pytest.param("1" + "0" * 100, "1" + "0" * 100, id="trailing zeros are not significant"),
        pytest.param("1E125", "1" + "0" * 125, id="largest exponent is written out"),
        pytest.param("9" * 38 + "E88", "9" * 38 + "0" * 88, id="largest number"),
        pytest.param("1E-130", "0." + "0" * 129 + "1", id="smallest number is written out"),
        pytest.param("0" * 1000 + "1", "1", id="any number of leading zeros"),
        pytest.param("1." + "0" * 1000, "1", id="any number of trailing zeros"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert numbers.normalize(text) == canonical
    assert numbers.normalize(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *(" 1", "1 ", "\t1", "1\n", "NaN", "Infinity", "-inf", "0x10", "1_000", "1,000", "١٢", "１", "²", "1.2.3"),
        *("+", "-", ".", "e5", "1e", "1e+", "--1", "1e1.5", "abc", "\x00", "1\x00", "1e9223372036854775808"),
        pytest.param("1e" + "9" * 10_000, id="an exponent of ten thousand digits"),
    ],
)
def test_not_a_number(text: str) -> None:
    assert refusal(text) == f"{NOT_NUMERIC}: {text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", NOT_NUMERIC, id="empty"),
        pytest.param("1e126", OVERFLOW, id="just too large"),
        pytest.param("-1e126", OVERFLOW, id="just too large below zero"),
        pytest.param("1" + "0" * 126, OVERFLOW, id="too large written out"),
        pytest.param("1e99999999999", OVERFLOW, id="exponent past 32 bits"),
        pytest.param("1e9223372036854775807", OVERFLOW, id="largest exponent of 64 bits"),
        pytest.param("0e126", OVERFLOW, id="zero is judged by its exponent"),
        pytest.param("1e-131", UNDERFLOW, id="just too small"),
        pytest.param("-1e-131", UNDERFLOW, id="just too small below zero"),
        pytest.param("1e-99999999999", UNDERFLOW, id="negative exponent past 32 bits"),
        pytest.param("0e-131", UNDERFLOW, id="zero is judged by its negative exponent"),
        pytest.param("1" * 39, PRECISION, id="39 digits"),
        pytest.param("-1.23456789012345678901234567890123456789", PRECISION, id="39 digits with a point"),
    ],
)
def test_out_of_range(text: str, message: str) -> None:
    assert refusal(text) == message


def written(digits: int, exponent: int) -> str:
    return f"{digits}e{exponent}"


in_range = st.one_of(
    st.builds(
        lambda digits, adjusted: written(digits, adjusted - len(str(abs(digits))) + 1),
        st.integers(-(10**38) + 1, 10**38 - 1).filter(bool),
        st.integers(-130, 125),
    ),
    st.integers(-1000, 1000).map(str),
    st.decimals(min_value=-1000, max_value=1000, places=3).map(str),
).map(numbers.normalize)


@given(st.from_regex(r"[+-]?(\d{1,50}\.?\d{0,50}|\.\d{1,50})([eE][+-]?\d{1,3})?", fullmatch=True))
def test_normalize_agrees_with_decimal(text: str) -> None:
    expected = Decimal(text) if text.isascii() else None
    canonical, message = attempt(numbers.normalize, text)
    if expected is None:
        assert message == f"{NOT_NUMERIC}: {text}"
    elif canonical is not None:
        assert Decimal(canonical) == expected
        assert canonical == (format(expected.normalize(EXACT), "f") if expected else "0")
    elif expected == 0:
        assert message in (OVERFLOW, UNDERFLOW)
    elif expected.adjusted() > 125:
        assert message == OVERFLOW
    elif expected.adjusted() < -130:
        assert message == UNDERFLOW
    else:
        assert len(expected.normalize(EXACT).as_tuple().digits) > 38
        assert message == PRECISION


@given(in_range, in_range)
def test_order_is_by_value(left: str, right: str) -> None:
    expected = (Decimal(left) > Decimal(right)) - (Decimal(left) < Decimal(right))
    assert numbers.compare(left, right) == expected
    encoded = numbers.sort_bytes(left), numbers.sort_bytes(right)
    assert (encoded[0] > encoded[1]) - (encoded[0] < encoded[1]) == expected


@given(in_range, in_range, st.binary(max_size=3), st.binary(max_size=3))
def test_bytes_after_an_encoded_number_never_change_the_order(
    left: str, right: str, after_left: bytes, after_right: bytes
) -> None:
    comparison = numbers.compare(left, right)
    one, other = numbers.sort_bytes(left) + after_left, numbers.sort_bytes(right) + after_right
    if comparison:
        assert (one > other) - (one < other) == comparison


@given(in_range)
def test_encoded_size_is_bounded(text: str) -> None:
    assert 1 <= len(numbers.sort_bytes(text)) <= 22


def test_encoded_order_over_signs_and_magnitudes() -> None:
    ascending = ["-1E125", "-100", "-99.5", "-1.1", "-1", "-0.1", "-1E-130", "0", "1E-130", "0.1", "0.11", "1", "1.1"]
    ascending += ["1.11", "2", "9", "10", "10.01", "99", "100", "1E125"]
    encoded = [numbers.sort_bytes(numbers.normalize(text)) for text in ascending]
    assert encoded == sorted(encoded)
    assert len(set(encoded)) == len(encoded)


@given(in_range, in_range)
def test_arithmetic_is_exact_or_refused(left: str, right: str) -> None:
    for operation, expected in (
        (numbers.add, EXACT.add(Decimal(left), Decimal(right))),
        (numbers.subtract, EXACT.subtract(Decimal(left), Decimal(right))),
    ):
        result, message = attempt(operation, left, right)
        if result is not None:
            assert Decimal(result) == expected
            assert numbers.normalize(result) == result
        elif expected.adjusted() > 125:
            assert message == OVERFLOW
        else:
            # Digits of two numbers near the smallest may cancel to less than the smallest.
            assert len(expected.normalize(EXACT).as_tuple().digits) > 38 or expected.adjusted() < -130
            assert message == (PRECISION if expected.adjusted() >= -130 else UNDERFLOW)


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        ("1", "2", "3"),
        ("1", "-1", "0"),
        ("0.1", "0.2", "0.3"),
        ("1.5", "0.5", "2"),
        ("-5", "3", "-2"),
        ("9" * 18, "1", "1" + "0" * 18),
        ("9" * 38, "1", "1" + "0" * 38),
    ],
)
def test_sums(left: str, right: str, total: str) -> None:
    assert numbers.add(left, right) == total
    assert numbers.subtract(total, right) == left


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        pytest.param("9" * 38 + "E88", "9" * 38 + "E88", OVERFLOW, id="sum too large"),
        pytest.param("1E38", "0.1", PRECISION, id="sum needs too many digits"),
        pytest.param("1E125", "1E-130", PRECISION, id="widest sum"),
    ],
)
def test_sum_refused(left: str, right: str, message: str) -> None:
    with pytest.raises(DynamoError) as caught:
        numbers.add(numbers.normalize(left), numbers.normalize(right))
    assert caught.value.message == message


# Measured on the real service (public suite dynamodb-conformance, numberByteSize).
@pytest.mark.parametrize(
    ("text", "size"),
    [
        *[("0", 1), ("1", 2), ("12", 2), ("123", 3), ("1234", 3), ("12345678901234567890123456789012345678", 20)],
        *[("0042", 2), ("100", 2), ("1010", 3), ("0.0000001", 2), ("1E125", 2), ("1E-100", 2), ("1.5", 3), ("15", 2)],
        *[("1.200", 3), ("1.234", 4), ("3.14159", 5), ("123456", 4), ("100.5", 4), ("0.15", 2), ("-42", 3), ("-0", 1)],
    ],
)
def test_size(text: str, size: int) -> None:
    assert numbers.size_bytes(numbers.normalize(text)) == size
