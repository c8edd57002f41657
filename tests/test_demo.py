"""The README's demo, as a new user runs it: in an empty folder, timed, its memory watched."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

import lycoris_bench


@pytest.mark.slow
def test_the_demo_on_two_cores(tmp_path: Path) -> None:
    path = {**os.environ, "PYTHONPATH": str(Path(lycoris_bench.__file__).parent.parent)}
    command = [sys.executable, "-m", "lycoris_bench.cli.main", "demo", "--json"]
    start, peak = time.monotonic(), 0
    out, err = tmp_path / "out", tmp_path / "err"  # a pipe that nobody reads takes 64 KiB
    with (
        out.open("w") as said,
        err.open("w") as complained,
        subprocess.Popen(
            command, cwd=tmp_path, env=path, stdout=said, stderr=complained
        ) as process,
    ):
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.5)
    seconds = time.monotonic() - start  # told, not judged: it is the machine's
    assert process.returncode == 0, err.read_text()
    found = json.loads(out.read_text())
    print(f"demo: {seconds:.0f} s, peak memory {peak / 2**30:.2f} GiB")
    assert peak < 4 * 2**30
    fidelity = found["categories"]["all categories"]["fidelity"]
    assert fidelity["prompt_type"] == "trigger"
    assert fidelity["distance_closed"]["lora"]["share"] >= 0.5, "the default LoRA does not learn"
    assert Path(found["report"]).exists()
    assert all(line.startswith("run: ") for line in err.read_text().splitlines())  # progress
    the_same_from_disk(tmp_path / "runs/demo", tmp_path / "again")


def the_same_from_disk(demo: Path, run: Path) -> None:
    """Its own images, scored as images that exist already, have its own numbers to the last bit."""
    outcome = lycoris_bench.score_samples(
        demo / "images", run=run, device="cpu",
        reference="package:miniature/dataset", words="package:prompts/miniature",
        encoders=["miniature-image", "miniature-image-text", "miniature-gram"],
    )  # fmt: skip
    assert outcome.reported and not outcome.failed and not outcome.warnings
    theirs, ours = (lycoris_bench.open_run(one).table("metrics") for one in (demo, run))
    same = [c for c in theirs if c not in ("study", "fingerprint", "protocol")]
    rows = [  # a study has its own order, folders have their names'
        t[t["configuration"] != "real"][same].sort_values(same, ignore_index=True)
        for t in (theirs, ours)
    ]
    pd.testing.assert_frame_equal(*rows, check_exact=True)


def resident(pid: int) -> int:
    """Bytes of the process and its children."""
    try:
        parent = psutil.Process(pid)
        return sum(p.memory_info().rss for p in [parent, *parent.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0
