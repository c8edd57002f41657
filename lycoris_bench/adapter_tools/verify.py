"""`adapter verify`: proves that a file is applied, by layers, change per block, and a picture."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lycoris_bench.adapter_tools import strengths
from lycoris_bench.adapter_tools.error_report import table
from lycoris_bench.adapter_tools.steps import counted
from lycoris_bench.adapter_tools.weights_on_disk import Layer, ModelFiles, open_model
from lycoris_bench.adapters.algorithms.base import add
from lycoris_bench.adapters.algorithms.factors import norm
from lycoris_bench.adapters.delta import NO_BIAS
from lycoris_bench.adapters.formats.adapter_file import by_layer, read
from lycoris_bench.adapters.formats.families import family_of
from lycoris_bench.adapters.formats.layer_names import block_of, natural
from lycoris_bench.adapters.matching import AdapterMismatch, Match, Matched, change, match, some
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import printable
from lycoris_bench.models.backbone import Backbone, BackboneError
from lycoris_bench.run.environment import device as chosen_device
from lycoris_bench.sampling.sample import sample

STEPS, GUIDANCE = 8, 4.0
LONGEST = 2000  # characters of a problem


def verify(
    model: str, path: Path, strength: float = 1.0, prompt: str = "a photo", seed: int = 0,
    picture: bool = True, device: str = "cpu",
) -> dict[str, Any]:  # fmt: skip
    """The layers of the file that the model has, |strength · ΔW| / |W| per block, and the change in
    grey levels (of 255) of a picture with the same seed.

    Status 1 if not all layers match, a layer has another shape, a number leaves the range of the
    model's dtype, the picture does not change or cannot be drawn, or no weight changes.
    BenchError: the strength is not finite, the seed is out of range, or the prompt is no text."""
    _check(strength, prompt, seed)
    base = open_model(model)
    tensors, _ = read(path)
    matched = match(by_layer(tensors), base.directory, family_of(base.widths), path)
    problems = [] if matched.complete else [f"{path.name}: {matched.sentence()}"]
    blocks = _blocks(base, matched, strength, problems)
    drawn = None
    if picture and matched.layers and not problems:
        drawn = _draw(model, tensors, (strength, prompt, seed, device), problems)
    counts = {"matched": len(matched.layers), "not_in_model": len(matched.missing),
              "unknown_kind": len(matched.unknown),
              "untouched": len(matched.untouched)}  # fmt: skip
    result = {
        "model": str(base.root), "file": str(path), "strength": strength, **counts,
        "names": {"not_in_model": matched.missing, "unknown_kind": matched.unknown},
        "blocks": blocks, "picture": drawn,
        "problems": [printable(problem, LONGEST) for problem in problems],
        "status": int(bool(problems)),
    }  # fmt: skip
    return {**result, "text": _text(result, matched)}


def _check(strength: float, prompt: str, seed: int) -> None:
    strengths.check("--strength", [strength])
    if not 0 <= seed < 2**63:
        raise BenchError(f"--seed is {printable(seed, 40)}; a whole number from 0 to 2^63 - 1 is "
                         "allowed")  # fmt: skip
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise BenchError(f"--prompt is no UTF-8 text: '{printable(prompt)}'")


def _blocks(
    base: ModelFiles, matched: Match, strength: float, problems: list[str]
) -> list[dict[str, Any]]:
    """A row per block; layers that cannot take their change are added to `problems`, and if all can
    and none has any."""
    rows: dict[str, dict[str, Any]] = {}
    changes = not matched.layers or bool(problems)
    for layer in counted([*matched.layers, *matched.untouched], "comparing"):
        block = block_of(".".join(layer))
        row = rows.setdefault(
            block, {"block": block, "matched": 0, "untouched": 0, "_moved": 0.0, "_base": 0.0}
        )
        if layer not in matched.layers:
            row["untouched"] += 1
            continue
        weight = base.read(*layer)
        try:
            moved, own = _moved(base, layer, matched.layers[layer], weight, strength)
        except AdapterMismatch as error:
            problems.append(str(error))
            continue
        changes |= own
        row["matched"] += 1
        row["_moved"] += norm(moved) ** 2
        row["_base"] += norm(weight) ** 2
    for row in rows.values():
        moved, whole = row.pop("_moved"), row.pop("_base")
        row["change"] = (moved / whole) ** 0.5 if whole else None
    if not changes and not problems:
        problems.append("no weight changes: the adapter, or its strength, is 0")
    return [rows[block] for block in sorted(rows, key=natural)]


def _moved(
    base: ModelFiles, place: Layer, layer: Matched, weight: Tensor, strength: float
) -> tuple[Tensor, bool]:
    """strength · ΔW, and whether weight or bias changes. AdapterMismatch: the layer cannot."""
    moved, shift = change(layer, weight)
    parts = {"weight": (weight, moved)}
    if shift is not None:
        if not base.has(*place, "bias"):
            raise AdapterMismatch(f"{layer.name}: {NO_BIAS}")
        parts["bias"] = base.read(*place, "bias"), shift
    for kind, (value, difference) in parts.items():
        if value.shape != difference.shape:
            raise AdapterMismatch(f"{layer.name}: a change of shape {tuple(difference.shape)} does "
                                  f"not fit a {kind} of shape {tuple(value.shape)}")  # fmt: skip
        dtype = str(value.dtype).removeprefix("torch.")
        if not value.is_floating_point():
            raise AdapterMismatch(f"{layer.name}: its {kind} is stored as {dtype} in the model, "
                                  "which takes no change")  # fmt: skip
        largest = float(add(value.float(), (difference, strength)).abs().max())
        if not largest <= torch.finfo(value.dtype).max:  # float8 would be cut off there
            raise AdapterMismatch(f"{layer.name}: at strength {strength:g} its {kind} leaves the "
                                  f"range of the model's {dtype}")  # fmt: skip
    return strength * moved, strength != 0 and any(bool(d.any()) for _, d in parts.values())


def _draw(
    model: str, tensors: Any, request: tuple[float, str, int, str],
    problems: list[str],
) -> dict[str, Any] | None:  # fmt: skip
    """Draws with and without the adapter; mean and largest difference in grey levels. None, and a
    problem, where a picture cannot be drawn."""
    strength, prompt, seed, device = request
    try:
        backbone = Backbone.load(model, chosen_device(device))
        side = backbone.unet.config.sample_size * backbone.vae_scale

        def picture() -> np.ndarray[Any, Any]:
            drawn = sample(backbone, [prompt], [seed], steps=STEPS, guidance=GUIDANCE,
                           width=side, height=side)  # fmt: skip
            if not bool(drawn.finite.all()):
                raise BackboneError("the picture is not finite")
            return drawn.pixels[0].astype(int)

        before = picture()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a partial match, which `match` has ruled out
            Merger(backbone.unet, backbone.text_encoders).merge(tensors, strength)
        moved = np.abs(picture() - before)
    except (BackboneError, AdapterMismatch, UserWarning) as error:
        problems.append(f"no picture: {error}; --no-picture compares weights alone")
        return None
    if not moved.any():
        problems.append("the picture does not change")
    return {"prompt": prompt, "seed": seed, "steps": STEPS, "guidance": GUIDANCE,
            "mean": float(moved.mean()), "largest": int(moved.max())}  # fmt: skip


def _some(names: list[str]) -> str:
    return printable(some(names, 3))


def _text(result: dict[str, Any], match: Match) -> str:
    rows = [(r["block"], r["matched"], r["untouched"], r["change"]) for r in result["blocks"]]
    lines = [
        f"matched            {result['matched']}",
        f"not in the model   {result['not_in_model']}  {_some(match.missing)}".rstrip(),
        f"of unknown kind    {result['unknown_kind']}  {_some(match.unknown)}".rstrip(),
        f"untouched layers   {result['untouched']}",
        "",
        table(("block", "matched", "untouched", "change"), rows),
        "",
    ]
    if drawn := result["picture"]:
        lines.append(
            f"picture  seed {drawn['seed']}, '{printable(drawn['prompt'])}': differs by "
            f"{drawn['mean']:.3g} grey levels on average, {drawn['largest']} at most"
        )
    lines.append(
        "applied" if not result["problems"] else "not proven: it is not applied as a whole"
    )
    return "\n".join(lines)
