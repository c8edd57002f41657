"""What a study needs from the model hub, and what of it is already on this machine."""

from dataclasses import dataclass

from lycoris_bench import encoders
from lycoris_bench.encoders.weights import OPEN_CLIP, PACKAGE, TIMM
from lycoris_bench.inputs import PLACEHOLDER
from lycoris_bench.settings import Settings

# Gigabytes of the files that are read, as the repositories have them in single precision.
SIZES = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": 4.3,
    "timm/vit_large_patch14_dinov2.lvd142m": 1.2,
    "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K": 1.7,
    "timm/convnextv2_large.fcmae_ft_in22k_in1k_384": 0.8,
    "timm/vgg19.tv_in1k": 0.6,
}
# What loading reads: these repositories hold the same weights in other forms too.
PIPELINE = (
    "*/*.json", "tokenizer/*.txt", "unet/*model.safetensors", "text_encoder/model.safetensors",
    "vae/*model.safetensors",
)  # fmt: skip


@dataclass(frozen=True)
class Download:
    """A repository, what it is for, its size if known, and how to fetch it if it is not here."""

    repository: str
    use: str
    gigabytes: float | None
    there: bool
    command: str

    def __str__(self) -> str:
        size = f"about {self.gigabytes} GB" if self.gigabytes else "size unknown"
        state = "there" if self.there else f"type: {self.command}"
        return f"{self.repository} ({self.use}, {size}): {state}"


def downloads(settings: Settings, base_uid: str) -> list[Download]:
    """The base model if it is of the hub, then the encoders; nothing is fetched or asked for."""
    found = []
    name = settings.base_model
    if name in SIZES or base_uid == PLACEHOLDER:
        found.append(_download(name, "base model", base_uid != PLACEHOLDER, PIPELINE))
    names = dict.fromkeys(spec.partition(":")[0] for spec in settings.scoring.encoders)
    for encoder in names:
        record = encoders.record(encoder)
        if not record.weights.startswith(PACKAGE):
            there = _cached(record.weights, record.revision)
            found.append(_download(record.weights, f"encoder {encoder}", there))
    return found


def _download(repository: str, use: str, there: bool, only: tuple[str, ...] = ()) -> Download:
    command = " ".join([f"hf download {repository}", *(f"--include '{part}'" for part in only)])
    return Download(repository, use, SIZES.get(repository), there, command)


def _cached(repository: str, revision: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = (*TIMM, *OPEN_CLIP)
    found = (try_to_load_from_cache(repository, name, revision=revision) for name in names)
    return any(isinstance(path, str) for path in found)
