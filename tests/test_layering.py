"""Imports point down only: the picture in docs/architecture.md, enforced."""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import lycoris_bench

ROOT = Path(lycoris_bench.__file__).parent
LAYERS = [
    {"cli"},
    {"session", "adapter_commands", "data_commands", "exits"},
    {"progress"},
    {"memory", "overview"},
    {"captioning", "tools", "train", "generate", "score", "analyze", "estimate", "published"}
    | {"relevance"},
    {"gallery", "reporting"},
    {"sight"},
    {"gram_views", "scored", "sets"},
    {"catalogue", "downloads", "features", "plan"},
    {"inputs", "miniature"},
    {"adapters", "diffusion", "encoders", "metrics", "analysis"},
    {"study"},
    {"mistakes", "naming", "overrides"},
    {"grid", "prompts", "settings", "store"},
    {"cards", "parquet", "registry", "run_folder", "runtime"},
    {"vocabulary", "disk", "printable", "numbers", "sealed", "wording"},
    {"errors"},
]
DEPTH = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
FENCES = {
    "diffusers": {
        "diffusion/pipeline_folder.py",
        "diffusion/single_file.py",
        "diffusion/outline.py",
        "miniature/",
    },
    "catboost": {"analysis/"},
    "shap": {"analysis/"},
    "matplotlib": {"analysis/"},
    "jinja2": {"analysis/"},
    "pydantic": {"study.py", "settings.py", "mistakes.py"},
    "typer": {"cli.py", "data_commands.py", "adapter_commands.py"},
    "rich": {"progress.py"},
}
# An encoder of the miniature world runs a network that the world trains: see decision 0001.
EXCEPTIONS = {("encoders", "miniature")}


def imports(path: Path) -> set[str]:
    """Dotted names a module imports, function bodies included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules() -> dict[str, Path]:
    return {
        str(p.relative_to(ROOT)): p for p in sorted(ROOT.rglob("*.py")) if "share" not in p.parts
    }


def test_imports_point_down_only() -> None:
    wrong = []
    for name, path in modules().items():
        own = Path(name).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] != "lycoris_bench" or len(parts) < 2 or parts[1] == "__version__":
                continue
            other = parts[1]
            allowed = other == own or DEPTH[other] > DEPTH[own] or (own, other) in EXCEPTIONS
            if not allowed:
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_stages_never_import_each_other() -> None:
    stages = {"train", "generate", "score", "analyze"}
    for stage in stages:
        imported = {i.split(".")[1] for i in imports(ROOT / f"{stage}.py") if i.count(".")}
        assert not imported & (stages - {stage})


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
    for low in ("vocabulary", "disk", "printable", "numbers", "sealed", "errors"):
        found = {name.split(".")[0] for name in imports(ROOT / f"{low}.py")} - {"lycoris_bench"}
        assert found <= allowed


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = (
        "import sys, lycoris_bench.cli;"
        "print([m for m in ('torch', 'pandas', 'numpy', 'diffusers') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_every_public_thing_has_a_docstring() -> None:
    bare = []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
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


# A TypeError is of the caller's code; `result` finds a fault of its own writer.
OTHERS = {"vocabulary.py": {"TypeError"}, "tools/result.py": {"RuntimeError"},
          "adapters/base.py": {"NotImplementedError"}, "estimate.py": {"ValueError"}}  # fmt: skip


def test_errors_for_the_user_are_of_one_kind() -> None:
    """Any other is printed as a fault of the program (decision 0009)."""
    builtin = {name for name in dir(builtins) if name.endswith(("Error", "Exception"))}
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            raised = node.exc if isinstance(node, ast.Raise) else None
            raised = raised.func if isinstance(raised, ast.Call) else raised
            if isinstance(raised, ast.Name) and raised.id in builtin:
                found.setdefault(name, set()).add(raised.id)
    assert found == OTHERS
