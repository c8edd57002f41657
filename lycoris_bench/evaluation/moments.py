"""When in a training a checkpoint was written, by the name that its trainer gives it.

A row a rule, with the trainers that write such names. What is no name of any rule has no suffix: it
is the last of its training, or alone."""

import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["epoch", "step"]


@dataclass(frozen=True)
class Moment:
    """What a name says: the training's name ("" where the name is the moment alone), and the moment
    with its unit, None for a name without one."""

    training: str
    at: int | None = None
    unit: Unit | None = None


RULES: tuple[tuple[Unit, str], ...] = (
    ("step", r"(?P<name>)checkpoint-(?P<at>\d+)"),  # diffusers, PEFT and SimpleTuner
    ("epoch", r"(?P<name>)epoch-(?P<at>\d+)"),  # lycoris-bench
    ("step", r"(?P<name>.+)-step(?P<at>\d{8})"),  # kohya sd-scripts, --save_every_n_steps
    ("epoch", r"(?P<name>.+)-(?P<at>\d{6})"),  # kohya sd-scripts, --save_every_n_epochs
    ("step", r"(?P<name>.+)_(?P<at>\d{9})"),  # ai-toolkit
    (  # OneTrainer: a prefix, when it was saved, steps, epoch, its step
        "step",
        r"(?P<name>.*?)[-_. ]?(?:\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)?-save-(?P<at>\d+)-\d+-\d+",
    ),
    ("epoch", r"(?P<name>.+?)[-_. ]?epoch[-_ ]?(?P<at>\d+)"),
    ("step", r"(?P<name>.+?)[-_. ]?steps?[-_ ]?(?P<at>\d+)"),
    ("step", r"(?P<name>.+?)[-_. ](?P<at>\d+)[-_ ]?steps?"),
)


def moment_of(name: str) -> Moment:
    """What a file's or folder's name, without its suffix, says.

    >>> moment_of("dog-000010")
    Moment(training='dog', at=10, unit='epoch')
    >>> moment_of("dog-step00000500"), moment_of("dog_000000250").at
    (Moment(training='dog', at=500, unit='step'), 250)
    >>> moment_of("checkpoint-150000")
    Moment(training='', at=150000, unit='step')
    >>> moment_of("checkpoint-500"), moment_of("dog")
    (Moment(training='', at=500, unit='step'), Moment(training='dog', at=None, unit=None))
    >>> moment_of("dog-2024-01-31_23-59-59-save-500-5-0")
    Moment(training='dog', at=500, unit='step')
    """
    for unit, pattern in RULES:
        if found := re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL):
            return Moment(found["name"], int(found["at"]), unit)
    return Moment(name)
