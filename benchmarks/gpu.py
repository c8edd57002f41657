"""Does every promise hold on a GPU, and how fast is it there? One command of at most 8 minutes.

    python -m benchmarks.gpu                          # on one GPU; nothing is downloaded
    python -m benchmarks.gpu --device cpu --narrow    # the same code on a CPU, in minutes

Each check is on its own: a failure is a line, and the next one begins. Lines are printed as they
come and appended to gpu.txt in `--out`. Weights are random, as speed does not depend on them; the
miniature world has its own. docs/gpu.md says what each line means."""

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if __name__ == "__main__" and not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:  # worker processes import this file, and nothing that they do not need
    from benchmarks.gpu_checks.context import Check

LAST_START = 450.0  # seconds after which no check begins
END = 475.0  # seconds after which the command ends, whatever is running


def checks() -> "list[Check]":
    """All checks, in the order of what would stop a user first. The number is about how many
    seconds each takes on one H100."""
    from benchmarks.gpu_checks import (
        adapters,
        compiling,
        drawing,
        limits,
        machine,
        peers,
        scoring,
        study,
        training,
    )
    from benchmarks.gpu_checks.context import Check

    return [
        Check("machine", 15, machine.machine),
        Check("8-bit state", 10, training.eight_bit_state),
        Check("stages", 35, study.stages),
        Check("demo's table", 30, study.table_of_the_demo),
        Check("repeats", 25, training.repeats),
        Check("training steps", 50, training.steps),
        Check("drawing", 45, drawing.rates),
        Check("encoders", 30, scoring.encoders_agree),
        Check("scoring from files", 20, scoring.from_files),
        Check("fused", 10, scoring.share_of_drawing),
        Check("compiled", 90, compiling.switches_without_recompiling),
        Check("merging", 15, adapters.merging),
        Check("switching", 15, adapters.switching),
        Check("step against lycoris-lora", 20, peers.steps_of_lycoris),
        Check("where a step goes", 15, training.profile),
        Check("checkpointing", 10, training.checkpointing),
        Check("batches and precisions", 15, drawing.batches_and_precisions),
        Check("SDXL", 15, limits.sdxl),
        Check("limits", 10, limits.limits),
        Check("warm compile cache", 45, compiling.warm_start),
    ]


def main() -> int:
    """Runs the checks; the exit status is 1 where one failed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--narrow", action="store_true", help="a twentieth of the width or so")
    parser.add_argument("--only", default="", help="names of checks, parted by commas")
    default = "gpu-results"
    parser.add_argument("--out", type=Path, default=Path(default))
    given = parser.parse_args()
    import torch

    from benchmarks.gpu_checks.context import Context, Log, perform

    if given.device == "cpu":
        torch.set_num_threads(1)
    log = Log(given.out / "gpu.txt")
    clock = threading.Timer(END, log.stop, [END])
    clock.daemon = True
    clock.start()
    context = Context(given.device, given.narrow, log)
    wanted = [name.strip() for name in given.only.split(",") if name.strip()]
    for check in checks():
        if wanted and check.name not in wanted:
            continue
        if log.elapsed > LAST_START:
            log.say(check.name, "left out: no time")
        else:
            perform(check, context)
    clock.cancel()
    log.say("done", f"{log.counts['passed']} passed, {log.counts['failed']} failed, "
                    f"{log.counts['skipped']} skipped; {log.path}")  # fmt: skip
    return 1 if log.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
