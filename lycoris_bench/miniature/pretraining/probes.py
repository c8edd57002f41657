"""How good the miniature encoders are: retrieval and nearest-centroid probes on renders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from lycoris_bench.miniature.networks import (
    TEXT_LENGTH,
    GramNetwork,
    ImageEncoder,
    ImageTextEncoder,
)
from lycoris_bench.miniature.world.captions import sentence
from lycoris_bench.miniature.world.scene import Scene

HOME = Path(__file__).parents[1]


def pixels(images: list[Image.Image] | np.ndarray) -> torch.Tensor:
    """Pictures to float (n, 3, 64, 64) in -1..1; other sizes are stretched."""
    arrays = [
        np.asarray(i if isinstance(i, np.ndarray) or i.size == (64, 64) else i.resize((64, 64)))
        for i in images
    ]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def in_parts(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """network(x) in parts of 100."""
    return torch.cat([network(part) for part in x.split(100)])


@torch.no_grad()
def retrieval(
    clip: ImageTextEncoder,
    tokenizer: Callable[..., Any],
    x: torch.Tensor,
    scenes: list[Scene],
    among: int = 100,
) -> float:
    """Share of pictures whose own caption is the nearest among `among` different ones."""
    texts = [sentence(s) for s in scenes]
    ids = tokenizer(
        texts, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    a = F.normalize(in_parts(clip.encode_image, x), dim=1)
    b = F.normalize(clip.encode_text(ids), dim=1)
    hits = []
    for start in range(0, len(texts) - among + 1, among):
        near = (a[start : start + among] @ b[start : start + among].T).argmax(1).tolist()
        group = texts[start : start + among]
        hits += [group[n] == group[k] for k, n in enumerate(near)]
    return float(np.mean(hits))


def nearest_centroid(
    train: torch.Tensor, names: list[str], test: torch.Tensor, truth: list[str]
) -> float:
    """Accuracy of the class whose mean normalised feature is nearest by cosine."""
    classes, z = sorted(set(names)), F.normalize(train, dim=1)
    centres = torch.stack([z[[n == c for n in names]].mean(0) for c in classes])
    guess = (F.normalize(test, dim=1) @ F.normalize(centres, dim=1).T).argmax(1).tolist()
    return float(np.mean([classes[g] == t for g, t in zip(guess, truth, strict=True)]))


def gram_features(network: GramNetwork, x: torch.Tensor) -> torch.Tensor:
    """Flattened Gram matrices of the five taps, each divided by c h w, (n, sum c^2)."""
    grams = []
    for tap in network(x):
        f = tap.flatten(2)
        grams.append((f @ f.transpose(1, 2) / (tap[0].numel())).flatten(1))
    return torch.cat(grams, dim=1)


def read_concepts(split: str, classes: str = "*") -> tuple[torch.Tensor, list[str]]:
    """The shipped concept pictures ("dataset" or "heldout") of a category, with their folders."""
    files = sorted((HOME / split).glob(f"{classes}/**/*.png"))
    names = [f.parent.relative_to(HOME / split).as_posix() for f in files]
    return pixels([Image.open(f).convert("RGB") for f in files]), names


def encoder_probes(
    weights: Path, tokenizer: Callable[..., Any], x: torch.Tensor, scenes: list[Scene]
) -> dict[str, float]:
    """Measured quality of the three encoders; the first half of x makes the centroids."""
    image = ImageEncoder.load(weights / "image.safetensors")
    clip = ImageTextEncoder.load(weights / "image-text.safetensors")
    gram = GramNetwork.load(weights / "gram.safetensors")
    half, features = len(x) // 2, in_parts(image, x)
    grams = in_parts(lambda part: gram_features(gram, part), x)
    result = {"image-text retrieval among 100": retrieval(clip, tokenizer, x, scenes)}
    for name, values in (("image", features), ("gram", grams)):
        for attribute in ("object", "colour", "style", "background"):
            truth = [str(getattr(s, attribute)) for s in scenes]
            result[f"{name} probe: {attribute}"] = nearest_centroid(
                values[:half], truth[:half], values[half:], truth[half:]
            )
    train, names = read_concepts("dataset")
    test, truth = read_concepts("heldout")
    result["image probe: 39 unknown concepts"] = nearest_centroid(
        in_parts(image, train), names, in_parts(image, test), truth
    )
    train, names = read_concepts("dataset", "styles")
    test, truth = read_concepts("heldout", "styles")
    result["gram probe: 7 unknown styles"] = nearest_centroid(
        in_parts(lambda p: gram_features(gram, p), train),
        names,
        in_parts(lambda p: gram_features(gram, p), test),
        truth,
    )
    return result
