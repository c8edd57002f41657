"""benchmarks/sd15.py on the CPU, narrowed: that it runs, and that its counts are right."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from torch import nn

from tests.support.random_models import parts

FILE = Path(__file__).parent.parent / "benchmarks" / "sd15.py"


@pytest.mark.slow
def test_it_prints_a_row_for_each_configuration_and_draws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("sd15_benchmark", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sd15_benchmark", module)
    spec.loader.exec_module(module)
    options = "--device cpu --narrow --limit 2 --batch 1 --rounds 1 --size 64 --images 2 --steps 1"
    monkeypatch.setattr(sys, "argv", ["sd15.py", *options.split(), "--precision", "fp32"])
    module.main()
    printed = capsys.readouterr().out
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| lora")]
    made = parts("sd15", narrow=True)
    # The default: dim 8 on every matrix of a transformer block, 1 x 1 convolutions included.
    expected = [
        8 * (module.weight.shape[0] + module.weight.shape[1])
        for model in (made.unet, *made.text_encoders)
        for name, module in model.named_modules()
        if re.search(r"attentions|layers", name) and isinstance(module, nn.Linear | nn.Conv2d)
    ]
    assert [int(row[1]) for row in rows] == [len(expected)] * 2 == [264, 264]
    assert [int(row[2]) for row in rows] == [sum(expected), 4 * sum(expected)]  # dim 8, dim 32
    assert all(float(row[3]) * 1e6 > 2 * int(row[2]) for row in rows)  # fp16 and the names
    assert "2 of 2 finite" in printed
