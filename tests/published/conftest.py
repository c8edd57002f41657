"""A clone so small that its numbers can be checked by hand, and the authors' own data imported."""

import csv
import os
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.published import runs
from lycoris_bench.published.import_published import import_published
from tests.support.shared import once

DRAWN = "ddim-v1-5-pruned-emaonly"
LORA, LOHA, EXTRA = "exp-1001-sd15-lora8a4", "exp-1011-sd15-loha4a2", "exp-1007-sd15-lora8a4-lr5e-5"
MAPPING = """Config,Algo,Preset,Lr,Dim,Alpha,Factor,Caption
exp-1001-sd15-lora8a4,lora,attn-mlp,0.0005,8,4,N/A,.txt
exp-1007-sd15-lora8a4-lr5e-5,lora,attn-mlp,5e-05,8,4,N/A,.txt
exp-1011-sd15-loha4a2,loha,attn-mlp,0.0005,4,2,N/A,.txt
exp-1022-sd15-lokrf4,lokr,attn-mlp,0.0005,10000,1,4,.txt
exp-1035-sd15-nt-lr5e-7,full,attn-mlp,5e-07,N/A,N/A,N/A,.txt
exp-2001-sd15-lora8a4-db,lora,attn-mlp,0.0005,8,4,N/A,.txtdb
exp-3001-sd15-lora8a4-alltags,lora,attn-mlp,0.0005,8,4,N/A,.txttags
"""
PROMPTS = {  # folder -> prompts, with made-up words
    "stuffed_toy/plushie_frog": ("zzq stuffed toy, red hat", ["in a pond", "on a chair"]),
    "anime/hero/wux outfit": ("kev anime girl, wux outfit", ["smiling"]),
    "anime/hero/none": ("kev anime girl", ["running", "asleep", "smiling"]),
    "style/dots": ("vvo style", ["of a city"]),
}
TEMPLATES = {"out_dist_prompts.txt": "{} under a bridge\nA fox beside the {}\n",
             "style_prompts.txt": "{} as a fresco\n"}  # fmt: skip


def write_table(path: Path, rows: dict[str, list[object]], titles: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Folder", *titles])
        writer.writerows([name, *values] for name, values in rows.items())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Mapping and prompts, without tables: each test writes the one that it is about."""
    root = tmp_path / "clone"
    (root / "deep/metrics").mkdir(parents=True)
    (root / "deep/config_mapping.csv").write_text(MAPPING)
    (root / "token_mapping.csv").write_text(
        'plushie_frog,"zzq stuffed toy, red hat"\nhero,kev anime girl\ndots,vvo style\n'
    )
    (root / "token_mapping_eval.csv").write_text("zzq,frog\nkev,\nwux outfit,\nvvo style,\n")
    for name, (descriptor, captions) in PROMPTS.items():
        folder = root / "deep/eval_prompts" / name
        folder.mkdir(parents=True)
        (folder / "triggeronly.txt").write_text(descriptor + "\n")
        lines = "".join(f"{descriptor}, {caption}\n" for caption in captions)
        (folder / "in_dist_prompts.txt").write_text(lines)
        for file, template in TEMPLATES.items():
            if not (name.startswith("style") and file.startswith("style")):
                (folder / file).write_text(template.replace("{}", descriptor))
    return root


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of the authors' published data, which this project does not contain."""
    folder = os.environ.get("LYCORIS_BENCH_PUBLISHED")
    if not folder:
        pytest.skip("LYCORIS_BENCH_PUBLISHED does not name the folder of the authors' data")
    return Path(folder)


@pytest.fixture(scope="session")
def imported(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, imported once, but for its tables as CSV, which no test reads."""

    def make(out: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runs, "csv", lambda table: "")
            import_published(published, out)

    return once(tmp_path_factory, "published", make)


@pytest.fixture(scope="session")
def captions(imported: Path) -> pd.DataFrame:
    return pd.read_parquet(imported / "captions/metrics.parquet")


TITLES = ["Text Similarity (in)", "Image Similarity (dinov2-l-fb-crop) (in)"]
ROWS = {f"{DRAWN}-{LORA}-{seed}/style/dots": [0.25, 0.5] for seed in "abc"}


@pytest.fixture
def whole(clone: Path) -> Path:
    """A clone with prompts, mapping and one table of three rows."""
    write_table(clone / "ddim_sd15_metrics.csv", ROWS, TITLES)
    return clone
