"""Numbers as shown, over all their magnitudes, read back."""

import math

import numpy as np
import pytest

from lycoris_bench.messages.numbers import BYTES, PARAMETERS, fixed, number, percent

MAGNITUDES = [m * 10.0**p for p in range(-3, 13) for m in (1, 1.0049, 2.5, 9.994, 9.9951, 9.99999)]
MAGNITUDES += [2.0**p * m for p in range(45) for m in (0.9766, 0.9995, 0.99999, 1, 1.001)]


def read(text: str, units: tuple[str, ...], step: int) -> float:
    amount, _, unit = text.partition(" ")
    return float(amount.replace(",", "")) * step ** units.index(unit)


@pytest.mark.parametrize(("name", "units", "step"), [
    ("size", BYTES, 1024), ("peak_memory", BYTES, 1024), ("parameters", PARAMETERS, 1000),
])  # fmt: skip
def test_amounts_have_no_exponent_and_the_right_unit(
    name: str, units: tuple[str, ...], step: int
) -> None:
    for value in MAGNITUDES:
        text = number(value, name)
        assert "e" not in text and not text.split(" ")[0].endswith("."), text
        assert read(text, units, step) == pytest.approx(value, rel=5.1e-3), (value, text)
        shown = float(text.split(" ")[0].replace(",", ""))
        assert shown < step or text.endswith(units[-1]) or (name == "parameters" and value < 1e4)


def test_values_have_three_digits_at_least() -> None:
    for value in [v for v in MAGNITUDES if v < 1e12]:
        for signed in (value, -value):
            text = number(signed)
            assert "e" not in text and not text.endswith("."), text
            assert float(text.replace(",", "")) == pytest.approx(signed, rel=5.1e-3)


@pytest.mark.parametrize(("value", "unit", "text"), [
    (1000 * 2**20, "peak_memory", "1,000 MiB"), (999.6 * 2**20, "size", "1,000 MiB"),
    (1023.4 * 2**20, "size", "1,023 MiB"), (1023.6 * 2**20, "size", "1 GiB"), (0, "size", "0 B"),
    (123.4, "", "123"), (99.96, "", "100"), (-0.0, "", "0"), (-0.00001, "", "-1e-05"),
    (True, "", "True"), ("a", "", "a"), (math.nan, "", "–"), (None, "seconds", "–"),
    (np.float64(0.5), "", "0.500"), (3599.7, "seconds", "1 h 00 min"), (0.0, "seconds", "0 s"),
    (1.5e-5, "seconds", "below 1 ms"), (1234.6, "steps", "1,235"),
])  # fmt: skip
def test_by_hand(value: object, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_a_zero_has_no_sign() -> None:
    assert [fixed(v) for v in (-0.004, -0.0, 0.004, -0.006)] == ["0.00", "0.00", "0.00", "-0.01"]
    assert [fixed(v, signed=True) for v in (-0.004, 0.004, 0.006)] == ["0.00", "0.00", "+0.01"]
    assert [percent(v) for v in (-0.004, 12.5)] == ["0%", "1,250%"]
    assert fixed(math.nan) == "–"
