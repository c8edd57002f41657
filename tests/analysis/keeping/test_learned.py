"""Who has learned anything at all: checkpoints beside the base model, prompt by prompt."""

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.keeping.choice import Choice, can_tell, choice
from lycoris_bench.analysis.keeping.numbers import Key, Numbers, numbers
from lycoris_bench.analysis.keeping.sentences import sentences

FIDELITY, CONTROL, _, _ = CRITERIA


def drawn(rng: np.random.Generator, gains: list[float], units: int) -> list[Numbers]:
    """Fidelity and control of checkpoints that gain so much over a base model; what makes a prompt
    hard is shared."""
    prompt = rng.normal(size=units)

    def noisy(gain: float) -> np.ndarray:
        return np.asarray(prompt + gain + 0.1 * rng.normal(size=units))

    keys: tuple[Key, ...] = tuple(
        (f"c{k}", None, strength) for k in range(len(gains)) for strength in (0.5, 1.0)
    )
    found = []
    for criterion in (FIDELITY, CONTROL):
        of_base = noisy(0.0) + 5 * (criterion is CONTROL)
        rows = [noisy(gain) + 5 * (criterion is CONTROL) for gain in gains for _ in range(2)]
        found.append(Numbers(criterion, keys, np.stack(rows), of_base.mean(), np.nan, 1, of_base))
    return found


def said_of(found: list[Numbers], chosen: Choice, names: dict[Key, str]) -> list[str]:
    return sentences(found, chosen, names, {key[:2]: f"the {key[0]}" for key in names})


def test_who_gains_is_told_from_the_base_model() -> None:
    found = drawn(np.random.default_rng(0), [0.0, 1.0], 24)
    chosen = choice(found)
    assert chosen.gaining == [("c1", None, 0.5), ("c1", None, 1.0)]
    assert chosen.windows[("c1", None)] == [0.5, 1.0]
    said = said_of(found, chosen, {key: f"{key[0]} at {key[2]}" for key in found[0].keys})
    assert "Not told from the base model in fidelity: c0 at 0.5 and c0 at 1.0." in said
    assert any("Usable strengths" in line and "the c1 at 0.5, 1." in line for line in said)


@pytest.mark.study
def test_noise_is_seldom_taken_for_learning_and_has_no_usable_strength() -> None:
    """Of studies in which nothing was learned, at most one in twenty says that something was, but
    for the chance of so few studies."""
    rng, false = np.random.default_rng(1), 0
    for _ in range(60):
        found = drawn(rng, [0.0, 0.0], 12)
        chosen = choice(found)
        false += bool(chosen.gaining)
        if not chosen.gaining:
            said = said_of(found, chosen, {key: str(key) for key in found[0].keys})
            assert chosen.windows == {} and not any("Usable strengths" in line for line in said)
            assert said[0].startswith("No checkpoint is told from the base model in fidelity (")
    assert false <= 7  # 60 draws of 0.05 exceed it once in a hundred times


@pytest.mark.parametrize(("units", "can"), [(5, False), (6, True)])
def test_too_few_prompts_are_said(units: int, can: bool) -> None:
    """Of two, the labels of n prompts can be dealt in 2^n ways, two of which are as extreme."""
    assert can_tell(2, units) == (2 / 2**units <= 0.05) == can
    found = drawn(np.random.default_rng(2), [3.0], units)
    chosen = choice(found)
    assert (chosen.gaining is not None) == can
    assert not chosen.windows  # of two tests, Holm asks for seven
    said = " ".join(said_of(found, chosen, {key: str(key) for key in found[0].keys}))
    assert ("No test can tell a checkpoint from the base model by 5 images" in said) != can
    assert ("no test can tell 2 checkpoints from one another by 5 images" in said) != can


def test_checkpoints_come_in_the_order_of_their_training() -> None:
    order = [("b", 2, 1.0), ("b", 1, 1.0), ("b", 1, 0.5), ("a", np.nan, 1.0)]
    images = pd.DataFrame([
        {"configuration": name, "epoch": epoch, "strength": strength, "category": "a", "class": "b",
         "subclass": "", "second": "", "prompt_type": "trigger", "metric": "image_similarity",
         "better": "higher", "image": f"{k:05d}.png", "value": float(k)}
        for name, epoch, strength in order for k in range(3)
    ])  # fmt: skip
    [found] = numbers(images, images.drop_duplicates("configuration"), {})
    assert found.keys == (("b", 1, 0.5), ("b", 1, 1.0), ("b", 2, 1.0), ("a", None, 1.0))
    assert found.of_base is None
