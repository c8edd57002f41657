"""How much memory do the adapter tools need beside the model's size?

    python benchmarks/adapter_memory.py [GIB]

Writes a random half-precision model of GIB (default 1.5) and a LoRA for it to a temporary folder,
runs each command in a process of its own and prints its largest resident memory, less that of a
process that has only imported what the commands import."""

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lycoris_bench.adapters.formats import adapter_file, streaming

SIZES = (10240, 1280)  # the largest layer of Stable Diffusion 1.5
START = (
    "import sys; from lycoris_bench.cli.exits import call; "
    "from lycoris_bench.cli.main import command; "
    "import lycoris_bench.adapter_tools.merge as _; "
)


def main(gib: float) -> None:
    """Prints a line a command."""
    layers = max(1, round(gib * 2**30 / (2 * SIZES[0] * SIZES[1])))
    paths = [
        f"down_blocks.{n % 4}.attentions.0.transformer_blocks.{n // 4}.ff.net.0.proj"
        for n in range(layers)
    ]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        model(place / "base", paths)
        adapter(place / "a.safetensors", paths)
        base, tuned, file = (str(place / x) for x in ("base", "tuned", "a.safetensors"))
        idle, _ = run("")
        size = layers * 2 * SIZES[0] * SIZES[1] / 2**20
        print(f"torch {torch.__version__}, {platform.machine()}, {platform.system()}")
        print(f"model of {size:,.0f} MiB in {layers} tensors; {idle:,.0f} MiB after the imports")
        print(f"{'command':<40}{'MiB more':>10}{'of model':>10}{'seconds':>9}")
        for arguments in (
            ["verify", base, file, "--no-picture"],
            ["inspect", file, "--model", base],
            ["merge", base, file, "-o", tuned],
            ["extract", base, tuned, "--as", "full", "-o", str(place / "full.safetensors")],
            ["convert", file, "--to", "full", "-o", str(place / "baked.safetensors")],
        ):
            most, seconds = run(f"call(command(), ['adapter', *{arguments!r}])")
            words = " ".join(Path(word).name for word in arguments)
            more = most - idle
            print(f"{words[:39]:<40}{more:>10,.0f}{more / size:>10.1%}{seconds:>9.1f}")


def model(folder: Path, paths: list[str]) -> None:
    """The weights as a diffusers folder has them, written by a stream of random numbers."""
    generator = np.random.default_rng(0)
    shapes = {f"{path}.weight": ("F16", SIZES, 2 * SIZES[0] * SIZES[1]) for path in paths}
    (folder / "unet").mkdir(parents=True)
    streaming.write(
        folder / "unet" / "diffusion_pytorch_model.safetensors",
        shapes,
        lambda name: [generator.normal(0, 0.02, SIZES).astype(np.float16).tobytes()],
        {"format": "pt"},
    )


def adapter(path: Path, paths: list[str]) -> None:
    """A LoRA of rank 16 on every layer."""
    tensors = {}
    for layer in paths:
        name = "lora_unet_" + layer.replace(".", "_")
        tensors[f"{name}.lora_up.weight"] = torch.randn(SIZES[0], 16) * 0.01
        tensors[f"{name}.lora_down.weight"] = torch.randn(16, SIZES[1]) * 0.01
        tensors[f"{name}.alpha"] = torch.tensor(16.0)
    path.write_bytes(adapter_file.to_bytes(tensors, {}))


def run(code: str) -> tuple[float, float]:
    """(largest resident MiB, seconds) of a process that runs the code."""
    begun = time.monotonic()
    out = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, out, 1)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", START + code], environment,
                             file_actions=actions)  # fmt: skip
    os.close(out)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"the command failed: {code}")
    return usage.ru_maxrss / 2**10, time.monotonic() - begun


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.5)
