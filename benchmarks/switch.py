"""How long does it take to exchange the adapter in a U-Net for another of its kind?

    python -m benchmarks.switch [--width 320] [--rounds 5] [--kinds lora loha lokr]

Ours: `Merger.merge` of the next adapter's tensors, from the base weights and in place. Peers, with
the same tensors in the same process, in turns: lycoris-lora (create from weights, merge, restore),
peft (load an adapter into the U-Net, delete it) and diffusers' hotswap; the last two for LoRA alone
and without merging, so that each later forward pass costs more. Medians of the seconds that this
thread computed. The largest difference of a weight from lycoris-lora's stands beside them."""

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from importlib import metadata

import diffusers
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.models.quick.memory import keep_freed_memory
from lycoris_bench.run.environment import device_name

KINDS = {
    "lora": {"dim": 8, "alpha": 4.0}, "loha": {"dim": 4, "alpha": 2.0},
    "lokr": {"factor": 8}, "full": {},
}  # fmt: skip
TEXT = 768
Work = Callable[[int], object]


def main() -> None:
    """Prints a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=160, help="320: Stable Diffusion 1.5's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("torch", "lycoris-lora", "peft",
                                                                "diffusers"))  # fmt: skip
    print(f"{device_name('cpu')}, {versions}, one thread, fp32, U-Net of width {given.width}")
    for kind in given.kinds:
        print(line(kind, given.width, given.rounds), flush=True)


def line(kind: str, width: int, rounds: int) -> str:
    """Seconds of all ways to exchange adapters of this kind."""
    unet = network(width)
    pair = [adapter(unet, kind, seed) for seed in (1, 2)]
    merger = Merger(unet)
    works: dict[str, Work] = {
        "ours": lambda k: merger.merge(pair[k % 2]),
        "lycoris-lora": lycoris(copy.deepcopy(unet), pair),
    }
    if kind == "lora":
        works["peft load + delete"] = peft(copy.deepcopy(unet), pair)
        works["hotswap"] = hotswap(copy.deepcopy(unet), pair)
    seconds = in_turns(works, rounds)
    ours = seconds.pop("ours")
    said = "; ".join(f"{name} {1e3 * s:.0f} ms, {s / ours:.1f}x" for name, s in seconds.items())
    layers = len({name.partition(".")[0] for name in pair[0]})
    return (
        f"{kind:5} {layers} layers: ours {1e3 * ours:.0f} ms; {said}; largest difference "
        f"{difference(unet, merger, pair[0]):.1e}"
    )


def network(width: int) -> nn.Module:
    """A U-Net of Stable Diffusion 1.5's shape with random weights."""
    torch.default_generator.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(width, 2 * width, 4 * width, 4 * width), cross_attention_dim=TEXT,
        attention_head_dim=8,
    ).requires_grad_(False)  # fmt: skip


def adapter(unet: nn.Module, kind: str, seed: int) -> dict[str, Tensor]:
    """An adapter's tensors as a file holds them, with random values."""
    made = attach(unet, None, "attn-mlp", kind, KINDS[kind], seed)
    made.detach()
    draw = torch.Generator().manual_seed(seed)
    return {
        name: value if name.endswith(".alpha") or not value.dim()
        else (0.02 * torch.randn(value.shape, generator=draw)).half()
        for name, value in made.tensors().items()
    }  # fmt: skip


def lycoris(unet: nn.Module, pair: list[dict[str, Tensor]]) -> Work:
    """Creates the network from weights, merges it and restores the base."""
    from lycoris.wrapper import create_lycoris_from_weights

    named = [{k.replace("lora_unet_", "lycoris_", 1): v.float() for k, v in one.items()}
             for one in pair]  # fmt: skip

    def work(k: int) -> None:
        made, _ = create_lycoris_from_weights(1.0, "", unet, named[k % 2])
        made.onfly_merge(1.0)
        made.onfly_restore()

    return work


def peft(unet: nn.Module, pair: list[dict[str, Tensor]]) -> Work:
    """Loads the adapter into the U-Net and deletes it."""
    states = [diffusers_state(unet, one) for one in pair]

    def work(k: int) -> None:
        unet.load_lora_adapter(dict(states[k % 2]), prefix=None, adapter_name="one")
        unet.delete_adapters("one")

    return work


def hotswap(unet: nn.Module, pair: list[dict[str, Tensor]]) -> Work:
    """Writes the adapter over the one that is loaded."""
    states = [diffusers_state(unet, one) for one in pair]
    unet.load_lora_adapter(dict(states[1]), prefix=None, adapter_name="one")

    def work(k: int) -> None:
        unet.load_lora_adapter(dict(states[k % 2]), prefix=None, adapter_name="one", hotswap=True)

    return work


def diffusers_state(unet: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The factors under the names that diffusers' loader reads, with alpha/dim in one of them."""
    paths = {f"lora_unet_{path.replace('.', '_')}": path for path, _ in unet.named_modules()}
    state = {}
    for layer in {key.partition(".")[0] for key in tensors}:
        up, down = (tensors[f"{layer}.lora_{side}.weight"].float() for side in ("up", "down"))
        ratio = float(tensors[f"{layer}.alpha"]) / down.shape[0]
        state[f"{paths[layer]}.lora_B.weight"] = ratio * up
        state[f"{paths[layer]}.lora_A.weight"] = down
    return state


def in_turns(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median seconds of each, after a call that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(rounds + 1):
            for name, work in works.items():
                start = time.thread_time()
                work(k)
                times[name].append(time.thread_time() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def difference(unet: nn.Module, merger: Merger, tensors: dict[str, Tensor]) -> float:
    """The largest difference of a merged weight from lycoris-lora's."""
    from lycoris.wrapper import create_lycoris_from_weights

    merger.restore()
    theirs = copy.deepcopy(unet)
    named = {k.replace("lora_unet_", "lycoris_", 1): v.float() for k, v in tensors.items()}
    create_lycoris_from_weights(1.0, "", theirs, named)[0].onfly_merge(1.0)
    merger.merge(tensors)
    with torch.no_grad():
        pairs = zip(unet.parameters(), theirs.parameters(), strict=True)
        return max(float((a - b).abs().max()) for a, b in pairs)


if __name__ == "__main__":
    main()
