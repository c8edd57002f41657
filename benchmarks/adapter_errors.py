"""How exact is each adapter's change of a weight, in fp32 against the formulas in float64?

    python -m benchmarks.adapter_errors [--outputs 1280] [--inputs 640] [--device cpu]

One line for each algorithm and form, the worst of a linear layer and of a 3x3 kernel of a
quarter of its size. Errors are |found - exact| / |exact|: of ΔW, for large and for small changes
(parameters moved by 0.3 and by 0.003 from the start), and of W'. DoRA's W' is a quotient of two
lengths near |W|: a small ΔW is known to the digits that W' has. The formulas are those of the
tests, written from the mathematics without the package's code."""

import argparse
import math
import platform

import torch

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.delta import changes
from tests.support import formulas
from tests.support.forms import FORMS

SIZES = (0.3, 0.003)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--outputs", type=int, default=1280)
    parser.add_argument("--inputs", type=int, default=640)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    o, i = given.outputs, given.inputs
    shapes = [(o, i), (o // 4, i // 4, 3, 3)]
    print(f"{platform.processor() or platform.machine()}, {given.device}, torch "
          f"{torch.__version__}, layers {shapes[0]} and {shapes[1]}")  # fmt: skip
    print(f"{'algorithm':<10}{'large ΔW':>10}{'small ΔW':>10}{'W':>9}'  form")
    for algorithm, forms in FORMS.items():
        for options in forms:
            large, small = (
                [error(algorithm, options, shape, size, given.device) for shape in shapes]
                for size in SIZES
            )
            form = ", ".join(f"{key} {value}" for key, value in options.items()) or "-"
            columns = [max(e for e, _ in large), max(e for e, _ in small)]
            columns.append(max(e for _, e in large + small))
            print(f"{algorithm:<10}{''.join(f'{value:>10.1e}' for value in columns)}  {form}")
    print(f"half a step of fp32 is {torch.finfo(torch.float32).eps / 2:.1e}")


def error(
    algorithm: str, options: dict, shape: tuple[int, ...], size: float, device: str
) -> tuple[float, float]:
    """(of ΔW, of W'), relative."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(shape, generator=generator) / math.prod(shape[1:]) ** 0.5
    adapter = ALGORITHMS.get(algorithm)(weight, None, generator, **options)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
    tensors = {name: value.detach() for name, value in adapter.tensors().items()}
    exact = formulas.change(tensors, weight)
    found, _ = changes(tensors, weight.to(device))
    off = float((found.cpu().double() - exact).norm())
    return off / float(exact.norm()), off / float((weight + exact).norm())


if __name__ == "__main__":
    main()
