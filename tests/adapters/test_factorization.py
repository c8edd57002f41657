"""The split of a dimension against Eq. (5) of the paper, by exhaustive search."""

import math

import pytest

from lycoris_bench.adapters.algorithms.factors import factorization


def equation_5(n: int, factor: int) -> tuple[int, int]:
    """u = max{u <= min(factor, √n), u divides n}, v = n/u."""
    limit = math.sqrt(n) if factor == -1 else min(factor, math.sqrt(n))
    u = max(u for u in range(1, n + 1) if u <= limit and n % u == 0)
    return u, n // u


def test_equal_to_equation_5_but_for_large_divisors() -> None:
    differing = 0
    for n in range(1, 513):
        for factor in (-1, *range(1, 65)):
            u, v = factorization(n, factor)
            assert u * v == n and u <= v
            if (u, v) != equation_5(n, factor):
                differing += 1
                assert n % factor == 0 and factor > math.sqrt(n) and v == factor
    assert differing > 0


SD15 = (4, 320, 640, 768, 960, 1280, 1920, 2560, 3072, 5120, 10240)


@pytest.mark.parametrize("n", SD15)
def test_stable_diffusion_dimensions_follow_the_paper(n: int) -> None:
    """Up to factor 31 only n = 4 with factor 4 differs, and the paper uses no factor above 12."""
    differing = [f for f in (-1, *range(1, 32)) if factorization(n, f) != equation_5(n, f)]
    assert differing == ([4] if n == 4 else [])


@pytest.mark.parametrize(("n", "factor", "expected"), [
    (320, -1, (16, 20)), (320, 8, (8, 40)), (320, 12, (10, 32)), (768, 12, (12, 64)),
    (5120, 12, (10, 512)), (77, 8, (7, 11)), (4, 4, (1, 4)), (320, 32, (10, 32)),
    (640, 40, (16, 40)), (1280, 64, (20, 64)), (13, 5, (1, 13)),
])  # fmt: skip
def test_published_examples(n: int, factor: int, expected: tuple[int, int]) -> None:
    assert factorization(n, factor) == expected
