"""The miniature world's CLIP: scenes and their captions in one space."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lycoris_bench.files.shipped import PACKAGE
from lycoris_bench.scoring.encoders.arithmetic import placed
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.weights import local_file, locate, reading

TOKENIZER = f"{PACKAGE}miniature/weights/base/tokenizer/tokenizer_config.json"


class MiniatureImageText(Encoder):
    """[n, 3, 64, 64] -> [n, 128], n captions -> [n, 128]. See docs/miniature.md.

    The tokenizer is that of the base model; a text is cut after its 32 tokens."""

    record = Record(
        name="miniature-image-text",
        weights=f"{PACKAGE}miniature/weights/image-text.safetensors",
        revision="1",
        sha256="8a4e047635404319b2b75c4b32445036ecacba99c5c47abe652068e2d5a86e64",
        size=64,
        resize="letterbox",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        outputs="image+text",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        from transformers import CLIPTokenizer

        from lycoris_bench.miniature.networks import ImageTextEncoder

        self.record, self.device = record, torch.device(device)
        path = locate(record)
        with reading(path, record.name):
            self.network = placed(ImageTextEncoder.load(path), self.device)
        folder = local_file(TOKENIZER, record.name).parent
        with reading(folder, record.name):
            self.tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.network.encode_image(batch)
        return features

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        # Padded to one length always: a text's features do not depend on its neighbours.
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        )
        features: Tensor = self.network.encode_text(tokens.input_ids.to(self.device))
        return features
