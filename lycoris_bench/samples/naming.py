"""How tools name the images that they draw: one row a tool, and a user's own pattern.

Each row follows the file of the tool's source that it names; nothing of that is copied."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lycoris_bench.data.images import SUFFIXES
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.study.prompt_types import ASKED_FOR

NUMBERS = ("step", "seed", "index", "epoch", "training_seed")
WORDS = ("configuration", "prompt", "category", "class", "subclass", "prompt_type")
MOST_DIGITS = 18  # of a number in a name: longer ones are no step, seed or index


@dataclass(frozen=True)
class Row:
    """A tool, and how it names an image: a regular expression for the end of its path, without the
    ending of the file; where that fails, for its path in the folder that is scored.

    Its groups are the fields of `Named`; `words` is a prompt that the tool has shortened."""

    tool: str
    pattern: re.Pattern[str]
    source: str


@dataclass(frozen=True)
class Named:
    """What the name of an image says."""

    tool: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """A field that is a whole number."""
        text = self.fields.get(name, "")
        return int(text) if text and len(text.lstrip("0")) <= MOST_DIGITS else None

    @property
    def step(self) -> int | None:
        """The moment of the training: the step, or the epoch where a tool counts these."""
        step = self.number("step")
        return self.number("epoch") if step is None else step


_SET = (
    r"(?P<category>[^/]+)/(?P<class>[^/]+)(?:/(?P<subclass>[^/]+))?/"
    rf"(?P<prompt_type>{'|'.join(ASKED_FOR)})/(?P<index>\d{{5,}})$"
)
_DATE = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"
OWN = "lycoris-bench"
TABLE = tuple(
    Row(tool, re.compile(pattern), source)
    for tool, pattern, source in (
        # images/<configuration>/seed-23/epoch-008[-strength-0.5]/<concept>/<prompt type>/00000
        (
            OWN,
            r"(?:^|/images/)(?:(?P<base>base)|(?P<configuration>[^/]+)/"
            r"(?:seed-(?P<training_seed>\d+)/epoch-(?P<step>\d+)|given)"
            rf"(?:-strength-(?P<strength>[^/]+))?)/{_SET}",
            "run/tree.py",
        ),
        # <output name>_e000002_00_20240131235959_42: epoch or step, prompt, time, seed if it is set
        (
            "kohya sd-scripts",
            r"(?:^|/)(?:(?P<configuration>[^/]+)_)?(?:e(?P<epoch>\d{6,})|(?P<step>\d{6,}))_"
            r"(?P<index>\d{2,})_\d{14}(?:_(?P<seed>\d+))?$",
            "library/train_util.py: sample_image_inference",
        ),
        # <job>/samples/1706745599000__000000500_0: milliseconds, step, prompt
        (
            "ai-toolkit",
            r"(?:^|/)(?:(?P<configuration>[^/]+)/samples/)?(?:rank\d+_sample\d+_)?\d{10,}__"
            r"(?P<step>\d{9})_(?P<index>\d+)$",
            "jobs/process/BaseSDTrainProcess.py: sample; toolkit/config_modules.py",
        ),
        # samples/0 - a photo of a cat/2024-01-31_23-59-59-training-sample-500-5-0: of the prompt
        # at most 32 characters; step, epoch and step in the epoch
        (
            "OneTrainer",
            r"(?:^|/)(?:(?P<configuration>[^/]+)/samples/)?(?P<index>\d+) - (?P<words>[^/]*?)"
            rf"(?P<variant> - no-ema)?/[^/]*?{_DATE}-training-sample-(?P<step>\d+)-\d+-\d+$",
            "modules/trainer/GenericTrainer.py: __sample_loop; modules/util/path_util.py",
        ),
        # validation_images/step_500_<shortname>_0_1024x1024: resolution, before that its number,
        # which older versions lack
        (
            "SimpleTuner",
            r"(?:^|/)(?:(?P<configuration>[^/]+)/validation_images/)?step_(?P<step>\d+)_"
            r"(?P<shortname>[^/]*?)_(?:(?P<index>\d+)_)?(?:\d+x\d+|\d+)$",
            "helpers/training/validation.py: _save_images",
        ),
    )
)
_PLACE = re.compile(r"\{([^{}]*)\}|\*")


def named(path: Path, folder: Path, rows: Iterable[Row] = TABLE) -> Named:
    """What the first row that fits says of an image in a folder; without one it says nothing."""
    whole, inside = (p.with_suffix("").as_posix() for p in (path, path.relative_to(folder)))
    for row in rows:
        if found := row.pattern.search(whole) or row.pattern.search(inside):
            fields = {name: text for name, text in found.groupdict().items() if text is not None}
            return Named(row.tool, fields)
    return Named()


def template(text: str) -> Row:
    """A user's own row: `{configuration}/{step}_{index}`, where `*` stands for anything. Numbers
    are digits; words end at a slash. Without a slash it is the pattern of the file's name alone.

    BenchError: an unknown place, one that is there twice, or none at all."""
    for suffix in SUFFIXES:
        if text.lower().endswith(suffix):
            text = text[: -len(suffix)]
    pattern, end = "", 0
    seen: set[str] = set()
    for place in _PLACE.finditer(text):
        name = place[1]
        pattern += re.escape(text[end : place.start()])
        end = place.end()
        if name is None:
            pattern += "[^/]*"
            continue
        if name not in (*NUMBERS, *WORDS):
            raise BenchError(f"--pattern: {unknown('place', name, [*NUMBERS, *WORDS])}")
        if name in seen:
            raise BenchError(f"--pattern has {{{name}}} twice; write * for what is not read")
        seen.add(name)
        pattern += rf"(?P<{name}>\d+)" if name in NUMBERS else rf"(?P<{name}>[^/]+?)"
    if not seen:
        raise BenchError(
            f"--pattern is '{text}' and names nothing; write where what stands, such as "
            "{configuration}/{step}_{index}"
        )
    pattern += re.escape(text[end:])
    return Row("--pattern", re.compile(rf"(?:^|/){pattern}$"), "")
