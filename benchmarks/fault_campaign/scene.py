"""One run folder to which a fault happens: the commands that are typed on it, and what they say."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.fault_campaign import moments
from benchmarks.fault_campaign.moments import Moment
from benchmarks.fault_campaign.values import Changes

STUDY = """
name = "tiny"
base_model = "package:miniature/weights/base"
dataset = "package:miniature/dataset"
heldout = "package:miniature/heldout"
prompts = "package:prompts/miniature"
concepts = ["toys/bunny"]
epochs = [1, 2]
seeds = [1]
training = { resolution = 32, bucket_step = 8, bucket_min = 24, bucket_max = 48, batch_size = 4, \
images_per_class = 2, warmup_epochs = 1, max_tokens = 60 }
sampling = { images = 2, steps = 2, width = 32, height = 32, prompt_types = ["train", "style"] }
scoring = { encoders = ["miniature-image", "miniature-image-text"], batch_size = 2 }
algorithms = { lora = { lr = 2e-3, dim = 2 }, lokr = { lr = 2e-3, factor = 4 } }
"""
"""Two adapters, two epochs, two images of each of two prompt types."""
KILLED = {
    "half": Moment(r"step l\w+/seed-1$", "SIGKILL", 3, states=True),
    "some": Moment(r"wrote .*metrics/l\w+/seed-1/epoch-001-images\.parquet$", "SIGKILL"),
}
"""Moments at which a command is killed: half of a training is done; some checkpoints are scored."""
BEFORE = {"generate": "train", "score": "generate", "features": "score"}
SENTENCE = r"(error|warning|interrupted)\b|run: (?!\d+ done|\d+%)"  # no counts, no progress
PATIENCE = 300.0  # seconds that a command or a moment is waited for
LOADED = ["benchmarks.fault_campaign.commanded"]  # once, for all commands


@dataclass
class Stage:
    """What all faults share: a folder, the study, and processes that have the program loaded."""

    folder: Path
    processes: Any
    environment: dict[str, str]  # of this process, before
    seconds: dict[str, float] = field(default_factory=dict)  # of what nothing happens to
    cluster: Any = None

    @classmethod
    def built(cls, folder: Path) -> "Stage":
        (folder / "hook").mkdir(parents=True)
        (folder / "hook" / "sitecustomize.py").write_text(moments.HOOK)
        (folder / "fault").mkdir()
        (folder / "tiny.toml").write_text(STUDY)
        before = dict(os.environ)
        root = str(Path(__file__).parents[2])
        inherited = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder / "hook"), root, inherited])
        os.environ[moments.PLACE] = str(folder / "fault")
        for library in ("OMP", "MKL", "OPENBLAS"):  # a process with threads cannot be forked
            os.environ[f"{library}_NUM_THREADS"] = "1"
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(LOADED)
        return cls(folder, processes, before)

    @property
    def reference(self) -> Path:
        """The run that nothing happened to, in one process."""
        return self.snapshot("run")

    def nodes(self) -> Any:
        """The Ray cluster of all faults; it is started for the first. Skipped: there is no Ray."""
        from benchmarks.fault_campaign.clusters import Nodes

        self.cluster = self.cluster or Nodes.started()
        return self.cluster

    def without_nodes(self) -> None:
        """Ends the Ray cluster."""
        if self.cluster:
            self.cluster.close()
        self.cluster = None

    def close(self) -> None:
        self.without_nodes()
        os.environ.clear()
        os.environ.update(self.environment)

    def snapshot(self, after: str) -> Path:
        """A run folder after a stage, "run" for all of them; of a command that was KILLED; or with
        "features" and no rows."""
        place = self.folder / f"after-{after}"
        if place.exists():
            return place
        scene = Scene(self, self.folder / "making")
        if after in BEFORE:
            shutil.copytree(self.snapshot(BEFORE[after]), scene.root)
        if after in KILLED:
            scene.keep = "sample"
            scene.await_(KILLED[after])
            scene.run()
            moments.forget(scene.fault)
        elif after == "features":
            shutil.rmtree(scene.root / "metrics")
            for path in scene.root.glob("metrics.*"):
                path.unlink()
        elif status := scene.run(after).status:
            raise RuntimeError(f"{after} ended with status {status}: {scene.said[-1].text}")
        return scene.root.replace(place)


@dataclass
class Said:
    """The end of a command: its exit status (minus the signal that ended it), what it said on
    stderr, and its seconds."""

    status: int
    text: str
    seconds: float


class Command:
    """A command that runs."""

    def __init__(self, stage: Stage, arguments: Sequence[str], silence: float | None) -> None:
        from benchmarks.fault_campaign import commanded

        self.output = stage.folder / "stderr"
        self.began = time.monotonic()
        self.process = stage.processes.Process(
            target=commanded.command,
            args=(list(arguments), str(self.output), silence, dict(os.environ)),
        )
        self.process.start()

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> Said:
        """Waits for its end. TimeoutError: it does not end."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"the command did not end in {PATIENCE:.0f} s")
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return Said(self.process.exitcode, text, time.monotonic() - self.began)


@dataclass
class Scene:
    """A run folder, and how its commands run: `options` of the command line."""

    stage: Stage
    root: Path
    options: tuple[str, ...] = ("--workers", "1")
    silence: float | None = None  # of Ray's workers
    nodes: Any = None  # the Ray cluster
    said: list[Said] = field(default_factory=list)
    keep: str = "all"  # of the images
    running: Command | None = None
    undisturbed: float = 0.0  # seconds that the commands take if nothing happens
    cleared: Callable[[], None] | None = None  # takes away what was done to the machine

    @property
    def fault(self) -> Path:
        return self.stage.folder / "fault"

    def await_(self, moment: Moment) -> None:
        moment.plan(self.fault)

    def reached(self, number: int = 0) -> int:
        """Waits until an event that counts happens, after `number` others; the process that it
        happens to. TimeoutError: the command ended before, or it takes too long."""
        first = json.loads((self.fault / "plan.json").read_text())["first"]
        until, place = time.monotonic() + PATIENCE, self.fault / f"hit-{first + number}"
        while not (place.exists() and (pid := place.read_text())):
            over = self.running is None or self.running.process.exitcode is not None
            if time.monotonic() > until or (over and not place.exists()):
                raise TimeoutError("the moment never came")
            time.sleep(0.02)
        return int(pid)

    def end(self) -> None:
        """Kills what runs still, and takes away what was done to the machine."""
        if self.running and self.running.process.exitcode is None:
            self.running.kill()
            self.ended(self.running)
        if self.cleared:
            self.cleared()

    def go(self) -> None:
        """Lets those go on that wait at the moment."""
        (self.fault / "go").touch()

    def begin(self, stage: str = "run") -> Command:
        own = ["--keep-images", self.keep] if stage == "run" else []
        more = [] if stage == "run" else ["--workers", "1"]
        options = list(self.options) if stage == "run" else more
        words = [*stage.split(), str(self.stage.folder / "tiny.toml"), "--run", str(self.root)]
        self.running = Command(
            self.stage, [*words, "--device", "cpu", *own, *options], self.silence
        )
        return self.running

    def run(self, stage: str = "run") -> Said:
        return self.ended(self.begin(stage))

    def ended(self, command: Command) -> Said:
        self.said.append(command.end())
        return self.said[-1]

    def again(self, most: int = 4) -> None:
        """Types the command again until it has nothing to complain of."""
        moments.forget(self.fault)
        for _ in range(most):
            if self.run().status == 0:
                break

    def measure(self, name: str, after: str | None = None) -> None:
        """Takes the time of a run to which nothing happens, as this one runs: from nothing, or from
        a snapshot. It is measured once for each name."""
        if name not in self.stage.seconds:
            other = replace(self, root=self.root.with_name("undisturbed"), said=[])
            if after:
                shutil.copytree(self.stage.snapshot(after), other.root)
            self.stage.seconds[name] = other.run().seconds
            assert not other.changes(), f"{name}: {other.changes()}, {other.said}"
            other.clear()
        self.undisturbed = self.stage.seconds[name]

    def changes(self) -> Changes:
        return Changes.between(self.stage.reference, self.root, self.keep == "all")

    def sentences(self) -> list[str]:
        """What the commands said, without paths and what is no sentence of this program's; what
        was not begun for another failure comes last."""
        lines = [line.strip() for said in self.said for line in said.text.splitlines()]
        ours = [line for line in lines if re.match(SENTENCE, line)]
        short = (line.replace(f"{self.root}/", "").replace(str(self.root), "RUN") for line in ours)
        return sorted(dict.fromkeys(short), key=lambda line: ": not begun, as " in line)

    def clear(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
