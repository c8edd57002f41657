"""Scores a folder of images against a folder of real ones, without a study."""

from importlib.resources import files
from pathlib import Path

import lycoris_bench as lb

world = Path(str(files("lycoris_bench"))) / "miniature"
drawn = world / "heldout/toys/bunny"  # the images to judge
photographs = world / "dataset/toys/bunny"  # real images of the same thing

scores = lb.score_images(
    drawn,
    reference=photographs,
    prompts="a toy on a table",  # one text for all images, or a list with one for each
    encoders=["miniature-image", "miniature-image-text"],  # for photographs: "dinov2-l", ...
)
print(scores.drop(columns="fingerprint").to_string(index=False))
scores.to_csv("scores.csv", index=False)
