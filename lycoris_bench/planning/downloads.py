"""The model repositories that a study needs, and whether they are on this machine."""

from dataclasses import dataclass

from lycoris_bench.files.shipped import PACKAGE
from lycoris_bench.planning.resolve import PLACEHOLDER
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import ENCODERS
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.encoders.weights import given, here, is_repository
from lycoris_bench.study.settings import Settings

# Gigabytes of the files that loading reads from a base model's repository, in single precision.
SIZES = {"stable-diffusion-v1-5/stable-diffusion-v1-5": 4.3}
# The files that loading reads: these repositories hold the same weights in other forms too.
PIPELINE = (
    "*/*.json", "tokenizer/*.txt", "unet/*model.safetensors", "text_encoder/model.safetensors",
    "vae/*model.safetensors",
)  # fmt: skip


@dataclass(frozen=True)
class Download:
    """A repository or a user's file: its use, its size if known, whether it is on this machine,
    and the command that fetches it."""

    repository: str
    use: str
    gigabytes: float | None
    there: bool
    command: str

    def __str__(self) -> str:
        size = f"about {self.gigabytes} GB" if self.gigabytes else "size unknown"
        state = "there" if self.there else f"type: {self.command}"
        return f"{self.repository} ({self.use}, {size}): {state}"


def downloads(settings: Settings, base_uid: str, drawn_uid: str = "") -> list[Download]:
    """The base model if it comes from the hub, the model that draws if it is another, then the
    encoders. The hub is not contacted.

    `base_uid` and `drawn_uid` are those of a plan; PLACEHOLDER says that a model is missing."""
    needed = []
    models = {settings.base_model: ("base model", base_uid)}
    if other := settings.sampling.base_model:
        models.setdefault(other, ("base model that draws", drawn_uid or base_uid))
    for name, (use, identity) in models.items():
        there = identity != PLACEHOLDER
        if name in SIZES or not there:
            command = _command(name, *(f"--include '{part}'" for part in PIPELINE))
            needed.append(Download(name, use, SIZES.get(name), there, command))
    for name in dict.fromkeys(spec.partition(":")[0] for spec in settings.scoring.encoders):
        record = encoders.record(name)
        if weights := settings.scoring.weights.get(name):
            record = given(record, weights)
        if record.weights and not record.weights.startswith(PACKAGE):
            needed.append(_encoder(name, record))
    return needed


def _encoder(name: str, record: Record) -> Download:
    entry = ENCODERS.get(name)
    file = here(record, entry.files)
    size = entry.gigabytes if record.weights == entry.record.weights else None
    if file is not None and size is None:
        size = round(file.stat().st_size / 1e9, 1) or None
    if not is_repository(record.weights):
        use = f"encoder {name}, a file"
        return Download(record.weights, use, size, file is not None, "give its path")
    revision = [] if record.revision == "main" else [f"--revision {record.revision}"]
    command = _command(record.weights, *revision)
    return Download(record.weights, f"encoder {name}", size, file is not None, command)


def _command(repository: str, *options: str) -> str:
    return " ".join([f"hf download {repository}", *options])
