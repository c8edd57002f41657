"""What is known of a family of base models is in its own file: nothing else names one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import lycoris_bench
from lycoris_bench.adapters.formats.families import stated
from lycoris_bench.models.families import families
from tests.support.plugin import Load

ROOT = Path(lycoris_bench.__file__).parent
OWN = {f"models/families/{name}.py" for name in ("sd1", "sd2", "sd3", "sdxl", "flux")}
NAMES = re.compile(
    r"(?i)sdxl|sd_?xl|\bsd_?v?[0-9]|stable.?diffusion|\bflux|text_encoder_[0-9]|tokenizer_2|"
    r"time_ids|text_embeds|label_emb|cond_stage|conditioner"
)
MAY = {
    "adapters/algorithms/lora.py": "another program names it so",
    "adapter_tools/cautions.py": "which program misreads which layer of whose adapters",
    "adapter_tools/kinship.py": "builds of models that are told apart without being families here",
    "adapter_tools/weights_on_disk.py": "models as pipeline folders number them",
    "adapters/formats/comfyui.py": "names of ComfyUI",
    "adapters/formats/layer_names.py": "models as adapter files number them",
    "adapters/formats/layouts.py": "layouts that are told apart to be refused",
    "adapters/formats/ss_metadata.py": "keys of trainers",
    "adapters/presets/tables.py": "layers by class, of models that others load",
    "miniature/pipeline.py": "it is a pipeline of diffusers",
    "models/compvis_layers.py": "names of CompVis, the same for all U-Nets",
    "models/families/__init__.py": "which family is the plain one",
    "planning/downloads.py": "how large a repository is",
}


def words(tree: ast.AST) -> Iterator[str]:
    """Names and texts of a module, docstrings aside."""
    plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
                yield word
            case ast.FunctionDef(name=word) | ast.ClassDef(name=word) | ast.keyword(arg=str(word)):
                yield word
            case ast.Constant(value=str(word)) if id(node) not in plain:
                yield word


def test_no_other_file_names_a_family() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in OWN:
            continue
        for word in words(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(name, set()).update(m[0] for m in NAMES.finditer(word))
    assert {name for name, said in found.items() if said} == MAY.keys()


def test_metadata_that_a_family_writes_name_it_alone(load_plugin: Load) -> None:
    load_plugin(Path(__file__).parents[1] / "support" / "plugins" / "letter_diffusion.py")
    for family in families():
        text = family.base_model_version
        assert stated({"ss_base_model_version": text}) == family.name
        assert [f.name for f in families() if f.in_metadata(text, {})] == [family.name]
    assert len({f.name for f in families()}) == len(families()) == len(OWN) + 1


def test_every_family_has_one_file() -> None:
    files = {f"models/families/{type(f).__name__.lower()}.py" for f in families()}
    assert files == OWN
    assert all(len((ROOT / file).read_text().splitlines()) < 160 for file in files)
