"""The parts of a base model: denoiser, text encoders, VAE, tokenizers, noise schedule."""

from typing import TYPE_CHECKING, Any, NamedTuple

from lycoris_bench.messages.errors import BenchError

if TYPE_CHECKING:
    from lycoris_bench.models.families.base import Family


class BackboneError(BenchError):
    """The base model cannot be used; the message says why and what to do."""

    of_machine = True


class Parts(NamedTuple):
    """A base model's parts, on the CPU and in whatever precision its files have."""

    family: "Family"
    unet: Any  # the denoiser
    text_encoders: tuple[Any, ...]
    vae: Any
    tokenizers: tuple[Any, ...]
    scheduler: Any  # the noise schedule, and the steps of the sampler
    zero_empty: bool = False  # guided away from zeros, not from an empty prompt


class Outline(NamedTuple):
    """Denoiser and text encoders on the meta device, where tensors take no memory."""

    unet: Any
    text_encoders: tuple[Any, ...]
