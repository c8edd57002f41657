"""Why a worker on a Ray cluster was lost, in one line."""

import re

COLOUR = re.compile(r"\x1b\[[\d;]*m")  # what Ray writes before and after a name


def cause(error: BaseException) -> str:
    """What Ray says of a lost worker, in one line; of one that could not start what was raised
    there, which comes last, and where."""
    lines = [line for each in COLOUR.sub("", str(error)).splitlines() if (line := each.strip())]
    if not lines:
        return type(error).__name__
    if "creation task" not in lines[0]:
        return lines[0][:300]
    place = re.search(r"ip=([\w.:]+)", lines[0])
    raised = f"{lines[-1][:300]}{f' (on {place[1]})' if place else ''}"
    return f"{raised}; each machine needs the same lycoris-bench, installed where 'ray' is"
