"""What the machine is, which kernels torch takes on it, and how fast it multiplies."""

import shutil
from collections.abc import Iterator
from importlib import metadata

import torch
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.gpu_checks.context import Context
from lycoris_bench.run import environment

PACKAGES = ("torch", "diffusers", "transformers", "timm", "open_clip_torch", "bitsandbytes", "peft",
            "lycoris-lora", "pydantic", "numpy", "pillow")  # fmt: skip


def machine(context: Context) -> Iterator[str]:
    """Versions, flags, kernels of attention, and rates of matrix products."""
    about = environment.provenance(device=context.device)
    yield f"{about['device']}, {environment.cores()} cores, Python {about['python']}, " + ", ".join(
        f"{name} {_version(name)}" for name in PACKAGES
    )
    yield f"C compiler {shutil.which('gcc') or shutil.which('cc')}; {about.get('cuda', 'no CUDA')}"
    if context.cuda:
        for length, width, masked in ((4096, 40, False), (154, 40, True), (77, 160, False)):
            yield f"attention to {length}, width {width}, mask {masked}: " + _kernel(
                context, length, width, masked
            )
    n = 1024 if context.narrow else 8192
    for dtype, tf32 in ((torch.float32, False), (torch.float32, True), (torch.bfloat16, False),
                        (torch.float16, False)):  # fmt: skip
        if not context.cuda and (tf32 or dtype == torch.float16):
            continue
        rate = matmul_rate(context, n, dtype, tf32)
        context.rate = rate  # the last: that of half precision
        name = f"{dtype}{' as TF32' if tf32 else ''}"
        yield f"matrix product of {n} in {name}: {rate / 1e12:.2f} TFLOP/s"


def matmul_rate(context: Context, n: int, dtype: torch.dtype, tf32: bool = False) -> float:
    """FLOP/s of the product of two n x n matrices of random numbers."""
    a, b = (torch.randn(n, n, device=context.device).to(dtype) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        return 10 * 2 * n**3 / context.seconds(lambda: [a @ b for _ in range(10)])
    finally:
        torch.set_float32_matmul_precision(before)


def _kernel(context: Context, length: int, width: int, masked: bool) -> str:
    """The names of the GPU's kernels in one attention of 8 heads."""
    query, key = (
        torch.randn(2, 8, rows, width, device=context.device, dtype=torch.bfloat16)
        for rows in (4096, length)
    )
    mask = torch.ones(2, 1, 1, length, device=context.device, dtype=torch.bool) if masked else None
    scaled_dot_product_attention(query, key, key, attn_mask=mask)
    with torch.profiler.profile() as profiler:
        scaled_dot_product_attention(query, key, key, attn_mask=mask)
        context.wait()
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_device_time_total)
    return ", ".join(row.key[:70] for row in rows[:2])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
