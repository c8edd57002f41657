"""CLIP ViT-L/14 of OpenCLIP, trained on DataComp-1B: images and texts in one space."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lycoris_bench.scoring.encoders.arithmetic import with_tf32
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.resize import SQUARE
from lycoris_bench.scoring.encoders.weights import OPEN_CLIP, locate, needed, reading

MODEL = "ViT-L-14"
TAG = "datacomp_xl_s13b_b90k"  # open_clip's name of these weights
TEXTS = 256  # encoded at once


class CLIPLDataComp(Encoder):
    """The projected features of both sides: [n, 3, 224, 224] -> [n, 768], n texts -> [n, 768].

    A text is cut after 77 tokens. The default resizing is the one of its training, `crop`.

    Source: Gadre et al., DataComp, NeurIPS 2023; Cherti et al., OpenCLIP, CVPR 2023.
    """

    resizings = with_tf32(SQUARE)
    files = OPEN_CLIP
    gigabytes = 1.7
    record = Record(
        name="clip-l-datacomp",
        weights="laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        revision="main",
        sha256=None,
        size=224,
        resize="crop",
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        outputs="image+text",
    )

    def __init__(self, record: Record, device: str = "cpu") -> None:
        self.record, self.device = record, torch.device(device)
        try:
            import open_clip
        except ImportError as error:
            raise needed("open_clip_torch", record.name) from error
        path = locate(record, OPEN_CLIP)
        with reading(path, record.name):
            network = open_clip.create_model(MODEL, pretrained=str(path), precision="fp32")
        self.network = network.eval().requires_grad_(False).to(self.device)
        self.tokenize = open_clip.get_tokenizer(MODEL)

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.network.encode_image(batch)
        return features

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        parts = [list(texts[i : i + TEXTS]) for i in range(0, len(texts), TEXTS)]
        encode = self.network.encode_text
        return torch.cat([encode(self.tokenize(part).to(self.device)) for part in parts])
