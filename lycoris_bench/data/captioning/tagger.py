"""SmilingWolf's taggers of Danbooru tags: an image classifier with thousands of yes-or-no
outputs, by timm from safetensors, or by onnxruntime where a repository has nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lycoris_bench.data.captioning.tags import TAGGER, labels
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError, explained

TAGS, CONFIG, WEIGHTS, ONNX = "selected_tags.csv", "config.json", "model.safetensors", "model.onnx"


class TaggerError(BenchError):
    """The tagger cannot be used; the message says what to type."""


class Tagger:
    """Gives tags to images. `probabilities` takes BGR pixels [n, size, size, 3] in 0..255, float32,
    and gives [n, outputs]: these models have learned from pictures in that order of colours."""

    def __init__(
        self,
        names: Sequence[str | None],
        size: int,
        probabilities: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.names, self.size, self.probabilities = names, size, probabilities

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "Tagger":
        """Loads a folder or a hub id in the local cache; nothing is downloaded."""
        folder = _locate(name)
        names = labels(folder / TAGS)
        if (folder / WEIGHTS).exists() and (folder / CONFIG).exists():
            size, probabilities, outputs = _timm(folder, device)
        elif (folder / ONNX).exists():
            size, probabilities, outputs = _onnx(folder, name)
        else:
            raise TaggerError(
                f"tagger '{name}' has neither {CONFIG} with {WEIGHTS} nor {ONNX}; "
                f"type: hf download {TAGGER}"
            )
        if outputs != len(names):
            raise TaggerError(
                f"tagger '{name}' has {outputs} outputs, but {TAGS} names {len(names)}"
            )
        return cls(names, size, probabilities)

    def tags(self, images: Sequence[Image.Image], threshold: float) -> list[list[str]]:
        """The tags of each image that are at least `threshold` probable, in the list's order:
        the commonest tags first."""
        pixels = np.stack([prepared(image, self.size) for image in images])
        probable = self.probabilities(pixels) >= threshold
        return [
            [name for name, yes in zip(self.names, row, strict=True) if yes and name is not None]
            for row in probable
        ]


def prepared(image: Image.Image, size: int) -> np.ndarray:
    """Centred on a white square, resized, colours in the order BGR: float32 [size, size, 3]."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    left, top = ((side - length) // 2 for length in image.size)
    square.paste(image, (left, top))
    resized = square.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float32)[..., ::-1]


def _locate(name: str) -> Path:
    folder = disk.expand(name)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise TaggerError(
            f"tagger '{name}' is neither a folder nor in the hub's cache; type: hf download {name}"
        ) from None


Loaded = tuple[int, Callable[[np.ndarray], np.ndarray], int]


def _timm(folder: Path, device: str) -> Loaded:
    import timm
    from safetensors.torch import load_file

    try:
        config: dict[str, Any] = disk.read_json(folder / CONFIG)
        shown = config["pretrained_cfg"]
        network = timm.create_model(
            config["architecture"], num_classes=config["num_classes"],
            **config.get("model_args") or {},
        )  # fmt: skip
        network.load_state_dict(load_file(folder / WEIGHTS))
        mean, std = (torch.tensor(shown[key]).view(3, 1, 1) for key in ("mean", "std"))
        size = int(shown["input_size"][-1])
    except Exception as error:  # a damaged file raises whatever its reader raises
        reason = explained(error)[:300]
        raise TaggerError(f"tagger '{folder}' cannot be loaded: {reason}") from error
    network.to(device).eval()

    @torch.inference_mode()
    def probabilities(pixels: np.ndarray) -> np.ndarray:
        batch: Tensor = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255
        return network(((batch - mean) / std).to(device)).sigmoid().cpu().numpy()

    return size, probabilities, config["num_classes"]


def _onnx(folder: Path, name: str) -> Loaded:
    try:
        import onnxruntime
    except ImportError:
        raise TaggerError(
            f"tagger '{name}' is an ONNX file, which needs onnxruntime; type: pip install "
            f"onnxruntime, or use --tagger {TAGGER}"
        ) from None
    try:
        session = onnxruntime.InferenceSession(folder / ONNX)
        network_input, network_output = session.get_inputs()[0], session.get_outputs()[0]
        size, outputs = int(network_input.shape[1]), int(network_output.shape[-1])
    except Exception as error:  # as above
        raise TaggerError(
            f"tagger '{folder}' cannot be loaded: {explained(error)[:300]}"
        ) from error

    def probabilities(pixels: np.ndarray) -> np.ndarray:
        return session.run(
            [network_output.name], {network_input.name: np.ascontiguousarray(pixels)}
        )[0]

    return size, probabilities, outputs
