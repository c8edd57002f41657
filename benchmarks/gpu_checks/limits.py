"""What is large or does not exist: Stable Diffusion XL, a full GPU, a GPU that is not there."""

from collections.abc import Iterator

import torch

from benchmarks.gpu_checks.context import Context, that
from benchmarks.gpu_checks.drawing import draw
from benchmarks.gpu_checks.training import trained
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import environment, executor
from lycoris_bench.sampling.sample import sample

SIZES = ((1365, 1999), (1024, 1023))  # which bf16 would round to 1368, 2000 and 1024, 1024


def sdxl(context: Context) -> Iterator[str]:
    """Narrowed: trained in bf16 with the sizes it is told exact, and drawn. Decoding of 1024 x 1024
    at full width, by batch."""
    backbone = context.backbone(family="sdxl", narrow=True)
    found = trained(context, backbone, 2)
    with torch.autocast(context.device.partition(":")[0], torch.bfloat16):
        framed = backbone.framed(backbone.condition(["a"]), [SIZES])
    told = [value for value in framed.added.values() if value.shape[-1] == 6]
    that(bool(told) and {1365.0, 1999.0} <= set(told[0].flatten().tolist()),
         f"the sizes are rounded: {[t.tolist() for t in told]}")  # fmt: skip
    drawn = draw(context, backbone, 2)
    losses = ", ".join(f"{loss:.3f}" for loss in found.losses)
    yield f"trained, losses {losses}; sizes exact; {len(drawn)} images drawn"
    if context.cuda:
        shared = context.shared()
        for count in (1, 2, 8):
            latents = torch.randn(count, 4, 128, 128, device=context.device)
            with torch.inference_mode():
                (_, seconds), peak = context.peak(
                    lambda given=latents: context.timed(lambda: shared.decode(given))
                )
            yield f"decoding {count} of 1024 x 1024 in fp32: {seconds:.2f} s, peak {peak:.1f} GiB"


def limits(context: Context) -> Iterator[str]:
    """A batch that does not fit is a sentence, and the next one is drawn; `cuda:7` is refused."""
    try:
        environment.device("cuda:7")
        yield "cuda:7 exists here"
    except BenchError as error:
        yield f"refused: {error}"
    context.needs_cuda()
    backbone = context.backbone(torch.float16)
    try:
        sample(backbone, ["a"] * 8192, range(8192), steps=1, guidance=7.0, width=512, height=512)
    except torch.OutOfMemoryError as error:
        yield f"a batch of 8192: {executor.sentence(error)[:200]}"
    else:
        yield "a batch of 8192 fits here"
    torch.cuda.empty_cache()
    draw(context, backbone, 2)
    yield "the next batch is drawn"
