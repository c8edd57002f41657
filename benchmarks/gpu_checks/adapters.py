"""Adapters: merged on the device as on the CPU, and switched as fast as memory allows."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu_checks.compiling import random_adapter
from benchmarks.gpu_checks.context import Context, that
from lycoris_bench.adapters.merge import Merger

OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {}, "loha": {"dim": 4}, "lokr": {"factor": 8}, "glora": {}, "ia3": {},
    "dylora": {}, "diag-oft": {"dim": 8}, "boft": {"dim": 8}, "full": {},
}  # fmt: skip
TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3}  # relative, of a merged weight


def merging(context: Context) -> Iterator[str]:
    """Each algorithm, merged into the same weights here and on the CPU."""
    for dtype, tolerance in TOLERANCE.items():
        here, there = (
            Context(device, True, context.log).backbone(dtype) for device in (context.device, "cpu")
        )
        for mine, theirs in ((here.unet, there.unet), (here.text_encoder, there.text_encoder)):
            theirs.load_state_dict({k: v.cpu() for k, v in mine.state_dict().items()})
        mergers = [Merger(b.unet, b.text_encoders) for b in (here, there)]
        worst = {}
        for algorithm, options in OPTIONS.items():
            tensors = random_adapter(there, algorithm, options)
            for merger in mergers:
                merger.merge(tensors)
            worst[algorithm] = max(
                float((a.cpu().double() - b.double()).norm() / b.double().norm())
                for a, b in zip(here.unet.parameters(), there.unet.parameters(), strict=True)
                if bool(b.any())
            )
        yield f"{dtype}, relative difference from the CPU: " + ", ".join(
            f"{name} {value:.0e}" for name, value in worst.items()
        )
        that(max(worst.values()) <= tolerance, f"merging differs by more than {tolerance}")


def switching(context: Context) -> Iterator[str]:
    """Row 5: from one LoRA to the next, against peft's load and delete, and diffusers' hotswap."""
    backbone = context.backbone(context.half)
    merger = Merger(backbone.unet, backbone.text_encoders)
    files = [random_adapter(context.shared(), "lora", {}, 0.01 * k) for k in (1, 2)]
    turn = iter(range(10**6))
    ours = context.seconds(lambda: merger.merge(files[next(turn) % 2]), 5)
    kept = [{k: v.to(context.device) for k, v in file.items()} for file in files]
    held = context.seconds(lambda: merger.merge(kept[next(turn) % 2]), 5)
    yield f"ours: {ours * 1e3:.1f} ms from the CPU's memory, {held * 1e3:.1f} ms from the device's"
    merger.restore()
    try:
        times = peers(context, backbone.unet)
    except ImportError as error:
        yield f"row 5: left out, {error}"
        return
    for name, seconds in times.items():
        yield f"{name}: {seconds * 1e3:.1f} ms; row 5: ours in {seconds / ours:.1f}x less"


def peers(context: Context, unet: Any) -> dict[str, float]:
    """Seconds of the peers for LoRAs of dim 8 on the same kind of layers of the U-Net."""
    import peft  # noqa: F401  (diffusers loads adapters by it)

    def adapter(scale: float) -> dict[str, torch.Tensor]:
        made = {}
        for name, module in unet.named_modules():
            if isinstance(module, torch.nn.Linear) and "attentions" in name and "lora_" not in name:
                out, into = module.weight.shape
                path = name.removesuffix(".base_layer")
                made[f"{path}.lora_A.weight"] = torch.randn(8, into) * scale
                made[f"{path}.lora_B.weight"] = torch.randn(out, 8) * scale
        return made

    files = [adapter(0.01), adapter(0.02)]
    turn = iter(range(10**6))

    def load_and_delete() -> None:
        unet.load_lora_adapter(dict(files[next(turn) % 2]), prefix=None, adapter_name="one")
        unet.delete_adapters("one")

    def hotswap() -> None:
        unet.load_lora_adapter(
            dict(files[next(turn) % 2]), prefix=None, adapter_name="two", hotswap=True
        )

    with warnings.catch_warnings(), contextlib.suppress(AttributeError):
        warnings.simplefilter("ignore")
        found = {"peft, load and delete": context.seconds(load_and_delete, 3)}
        unet.load_lora_adapter(dict(files[0]), prefix=None, adapter_name="two")
        found["diffusers, hotswap"] = context.seconds(hotswap, 5)
    return found
