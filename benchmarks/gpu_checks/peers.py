"""A whole training step of the U-Net with our adapters and with lycoris-lora's."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import mse_loss

from benchmarks.gpu_checks.context import Context, Skipped
from lycoris_bench.adapters.attach import attach

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("lokr", {"factor": 8, "full_matrix": True}, {"linear_dim": 10**6, "factor": 8}),
    ("loha", {"dim": 4, "alpha": 2}, {"linear_dim": 4, "linear_alpha": 2}),
]


def steps_of_lycoris(context: Context) -> Iterator[str]:
    """Row 11: forward, backward and fused AdamW, adapters on the same layers; the peer as it comes
    and with `bypass_mode`."""
    try:
        from lycoris import LycorisNetwork, create_lycoris
    except ImportError:
        raise Skipped("lycoris-lora is not installed") from None
    logging.getLogger("LyCORIS").setLevel(logging.CRITICAL)
    unet = context.backbone().unet
    step = _step(context, unet)
    for algorithm, options, theirs in CASES:
        network = attach(unet, None, ["Transformer2DModel"], algorithm, options)
        layers = network.modules_matched
        ours = context.seconds(lambda network=network: step(list(network.parameters())), 3)
        network.detach()
        for bypass in (False, True):
            LycorisNetwork.apply_preset({"target_module": ["Transformer2DModel"]})
            peer = create_lycoris(
                unet, 1.0, algo=algorithm, bypass_mode=bypass, **theirs
            ).to(context.device)  # fmt: skip
            peer.apply_to()
            parameters = [p for p in peer.parameters() if p.requires_grad]
            seconds = context.seconds(lambda given=parameters: step(given), 3)
            count = len(peer.loras)
            peer.restore()
            for module in unet.modules():  # it leaves its own `forward` behind
                vars(module).pop("forward", None)
            yield (f"{algorithm}: {ours * 1e3:.0f} ms a step on {layers} layers; lycoris-lora "
                   f"{seconds * 1e3:.0f} ms on {count}{' in bypass mode' if bypass else ''}; "
                   f"row 11: {seconds / ours:.2f}x")  # fmt: skip


def _step(context: Context, unet: Any) -> Callable[[Sequence[Any]], None]:
    """A training step on random latents with two chunks of text."""
    side, width = context.size // 8, unet.config.cross_attention_dim
    latents, noise = (torch.randn(context.batch, 4, side, side, device=context.device)
                      for _ in range(2))  # fmt: skip
    text = torch.randn(context.batch, 154, width, device=context.device)
    optimizers: dict[int, torch.optim.Optimizer] = {}

    def step(parameters: Sequence[Any]) -> None:
        key = id(parameters[0])
        if key not in optimizers:
            optimizers.clear()
            optimizers[key] = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
        with torch.autocast(context.device.partition(":")[0], torch.bfloat16):
            found = unet(latents, torch.tensor(10, device=context.device), text).sample
        mse_loss(found.float(), noise).backward()
        optimizers[key].step()
        optimizers[key].zero_grad(set_to_none=True)

    return step
