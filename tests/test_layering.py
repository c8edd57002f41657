"""Imports point down only: the picture in docs/architecture.md, enforced."""

import ast
import builtins
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

import lycoris_bench

ROOT = Path(lycoris_bench.__file__).parent
# From the top, which is the package's own __init__, the Python API; a room inside another is named
# where it lies lower than the other.
LAYERS = [
    {"cli"},
    {"stages", "adapter_tools", "published", "samples", "exporting"},
    {"analysis"},
    {"scoring"},
    {"planning", "evaluation"},
    {"training", "sampling"},
    {"run", "data"},
    {"study"},
    {"adapters", "scoring.encoders", "scoring.metrics"},
    {"adapters.algorithms", "miniature", "models"},
    {"registry"},
    {"files"},
    {"messages"},
]
DEPTH = {room: depth for depth, layer in enumerate(LAYERS) for room in layer}
FENCES = {
    "diffusers": {"models/", "miniature/"},
    "catboost": {"analysis/"},
    "shap": {"analysis/"},
    "matplotlib": {"analysis/"},
    "jinja2": {"analysis/"},
    "pydantic": {"study/"},
    "typer": {"cli/"},
    "rich": {"cli/"},
}


def room(module: str) -> str | None:
    """The room of a module `a.b.c` inside the package: the longest one that is declared."""
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if name in DEPTH), None)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names a module imports: function bodies, and names for importlib, included."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = re.fullmatch(r"(lycoris_bench(?:\.\w+)+)\.?", node.value)
            found |= {named[1]} if named else set()
    return frozenset(found)


def modules() -> dict[str, Path]:
    return {
        str(p.relative_to(ROOT)): p for p in sorted(ROOT.rglob("*.py")) if "share" not in p.parts
    }


def test_imports_point_down_only() -> None:
    wrong = []
    for name, path in modules().items():
        own = room(name.removesuffix(".py").replace("/", "."))
        assert own or name == "__init__.py", f"{name} is in no room of LAYERS"
        for imported in imports(path):
            package, _, module = imported.partition(".")
            if package != "lycoris_bench" or module in ("", "__version__"):
                continue
            other = room(module)
            assert other, f"{name} imports {imported}, which is in no room of LAYERS"
            if own and other != own and DEPTH[other] <= DEPTH[own]:
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_stages_never_import_each_other() -> None:
    stages = {"train", "generate", "score", "analyze"}
    for stage in stages:
        found = imports(ROOT / "stages" / f"{stage}.py")
        others = {f"lycoris_bench.stages.{other}" for other in stages | {"run"}}
        assert not [i for i in found if i in others or i.rpartition(".")[0] in others]


def test_fences() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        for imported in imports(path)
        for library, allowed in FENCES.items()
        if imported.split(".")[0] == library and not any(name.startswith(a) for a in allowed)
    ]
    assert not wrong


def test_the_lowest_layers_are_standard_library_only() -> None:
    allowed = sys.stdlib_module_names
    low = [path for name, path in modules().items() if name.startswith("messages/")]
    low += [ROOT / "registry.py", ROOT / "study/records.py", ROOT / "files/disk.py"]
    for path in low:
        found = {name.split(".")[0] for name in imports(path)} - {"lycoris_bench"}
        assert found <= allowed, path


HEAVY = ("catboost", "diffusers", "matplotlib", "numpy", "open_clip", "pandas", "PIL", "shap",
         "timm", "torch", "transformers", "vendi_score")  # fmt: skip


def test_the_command_line_starts_without_heavy_libraries(tmp_path: Path) -> None:
    """`adapter inspect` computes norms, for which it needs torch, and torch numpy."""
    weights = {"lora_unet_a.lora_up.weight": torch.ones(2, 1),
               "lora_unet_a.lora_down.weight": torch.ones(1, 2)}  # fmt: skip
    save_file(weights, tmp_path / "a.safetensors")
    code = (
        "import sys; from lycoris_bench.cli import main;"
        f"report = lambda: print('loaded', *(m for m in {HEAVY} if m in sys.modules));"
        "report(); main.call(main.command(), ['--help']); report();"
        "main.call(main.command(), ['adapter', 'inspect', 'a.safetensors']); report()"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert "lora (1) layers" in said
    loaded = [line for line in said.splitlines() if line.startswith("loaded")]
    assert loaded == ["loaded", "loaded", "loaded numpy torch"]


def test_every_public_thing_has_a_docstring() -> None:
    bare = []
    for name, path in modules().items():
        tree = parsed(path)
        if path.name != "__init__.py" and not ast.get_docstring(tree):
            bare.append(name)
        bare += [
            f"{name}: {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    assert not bare


def test_the_picture_of_the_house_shows_every_room() -> None:
    page = (Path(__file__).parent.parent / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = {Path(name).parts[0] for name in modules()} - {"__init__.py"}
    lacking = [r for r in rooms if (r if r.endswith(".py") else f"{r}/") not in page]
    assert not lacking


def circles() -> set[frozenset[str]]:
    """Pairs of rooms that reach each other by imports."""
    reached: dict[str, set[str]] = {own: set() for own in DEPTH}
    for name, path in modules().items():
        own = room(name.removesuffix(".py").replace("/", "."))
        for imported in imports(path) if own else ():
            other = room(imported.partition(".")[2])
            if other and imported.startswith("lycoris_bench.") and other != own:
                reached[str(own)].add(other)
    for _ in DEPTH:
        for others in reached.values():
            others |= {far for near in others for far in reached[near]}
    return {frozenset((a, b)) for a in DEPTH for b in reached[a] if a in reached[b]}


def test_no_two_rooms_reach_each_other() -> None:
    assert circles() == set()


def test_no_module_is_loose() -> None:
    assert [name for name in modules() if "/" not in name] == ["__init__.py", "registry.py"]


# A TypeError is of the caller's code; `result` finds a fault of its own writer; of a module's names
# Python expects an AttributeError.
OTHERS = {"__init__.py": {"AttributeError"}, "files/identity.py": {"TypeError"},
          "adapter_tools/result.py": {"RuntimeError"},
          "adapters/algorithms/base.py": {"NotImplementedError"},
          "planning/time_and_disk.py": {"ValueError"}}  # fmt: skip


def test_errors_for_the_user_are_of_one_kind() -> None:
    """Any other is printed as a fault of the program (decision 0009)."""
    builtin = {name for name in dir(builtins) if name.endswith(("Error", "Exception"))}
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        for node in ast.walk(parsed(path)):
            raised = node.exc if isinstance(node, ast.Raise) else None
            raised = raised.func if isinstance(raised, ast.Call) else raised
            if isinstance(raised, ast.Name) and raised.id in builtin:
                found.setdefault(name, set()).add(raised.id)
    assert found == OTHERS


def counts() -> str:
    """The house in numbers, for whoever types `python tests/test_layering.py`."""
    lines = sorted(
        len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values()
    )
    return (
        f"{len(lines)} files, {sum(lines)} lines, median {lines[len(lines) // 2]}, nine in ten "
        f"under {lines[len(lines) * 9 // 10]}, largest {lines[-1]}; "
        f"{sum('/' not in name for name in modules())} at the top, {len(DEPTH)} rooms on "
        f"{len(LAYERS)} layers, {len(circles())} circles"
    )


if __name__ == "__main__":
    print(counts())
