"""Who may import whom, and what must stay light."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# From the ground up: a room may import from those below its own line, and from no other.
LAYERS = (
    ("files", "records"),
    ("errors",),
    ("categories", "metadata", "places", "stores"),
    ("decision", "model", "sources"),
    ("decoding", "engines", "tables"),
    ("recognition", "state"),
    ("report", "runners", "web", "writing"),
    ("review",),
    ("options",),
    ("evidence",),
    ("pipeline",),
    ("api",),
    ("geotag",),
    ("cli",),
    ("__main__",),
)
HEIGHTS = {room: height for height, layer in enumerate(LAYERS) for room in layer}
TORCH = {"torch", "torchvision"}
TORCH_MODULES = (
    "geotag.engines.",
    "geotag.model.architectures",
    "geotag.model.memory",
    "geotag.model.networks",
    "geotag.model.networks_study",
)
CLI_PACKAGES = {"click", "tqdm"}
LEAVES = ("geotag.records", "geotag.errors", "geotag.files.credentials")


def _modules(folder: str) -> dict[str, Path]:
    """The modules of a package by full name; those of scripts/ import each other without it."""
    base = ROOT / folder if folder == "scripts" else ROOT
    return {
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


PACKAGES = {name: _modules(name) for name in ("geotag", "training", "scripts")}
MODULES = PACKAGES["geotag"] | PACKAGES["training"] | PACKAGES["scripts"]


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _name(function: ast.expr) -> str:
    """The last part of the name by which something is called."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _imports(code: str) -> set[str]:
    """The modules that code imports, anywhere in it, except for types alone."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(code)]
    while pending:
        node = pending.pop()
        if _is_for_types(node) and not ast.unparse(node.test).startswith("not "):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(_module(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            names = {alias.name for alias in node.names}
            # The version is a constant of the package itself, there before all else.
            if node.module != "geotag" or names != {"__version__"}:
                found.update(_module(f"{node.module}.{name}") for name in names)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            found.update(
                _module(word.value)
                for word in node.args
                if isinstance(word, ast.Constant) and isinstance(word.value, str)
            )
        pending.extend(ast.iter_child_nodes(node))
    return found


def _module(name: str) -> str:
    """The module that holds what is imported by a full name; as it is for other packages."""
    whole = name
    while name not in MODULES:
        name, _, _ = name.rpartition(".")
        if not name:
            return whole
    return name


def _room(module: str) -> str:
    """The top part of geotag/ that a module belongs to."""
    return module.split(".")[1] if "." in module else module


@functools.cache
def _imported() -> dict[str, set[str]]:
    """What each module imports."""
    return {name: _imports(path.read_text("utf-8")) for name, path in MODULES.items()}


def _roots(name: str) -> set[str]:
    return {module.split(".")[0] for module in _imported()[name]}


@pytest.mark.parametrize(
    "code",
    [
        "import geotag.records",
        "from geotag import records",
        "from geotag.records import Photo",
        "def f():\n    from geotag.records import Photo",
        "class C:\n    async def f(self):\n        import geotag.records as r",
        "import_module('geotag.records')",
        "if TYPE_CHECKING:\n    from geotag import errors\nelse:\n    from geotag import records",
        "if not TYPE_CHECKING:\n    from geotag import records",
    ],
)
def test_an_import_is_seen_wherever_it_stands(code: str) -> None:
    assert _imports(code) - {"typing"} == {"geotag.records"}


def test_the_top_of_geotag_is_taken_in_at_a_glance() -> None:
    assert len(list((ROOT / "geotag").glob("*.py"))) <= 10


def test_no_cycles() -> None:
    graph = {name: found & set(MODULES) - {name} for name, found in _imported().items()}
    list(TopologicalSorter(graph).static_order())


def test_a_module_of_geotag_imports_from_below() -> None:
    for name in PACKAGES["geotag"]:
        room, roots = _room(name), _roots(name)
        assert room in HEIGHTS, f"say in LAYERS what {room} may import"
        others = {_room(m) for m in _imported()[name] if m in PACKAGES["geotag"]} - {room}
        assert not {other for other in others if HEIGHTS[other] >= HEIGHTS[room]}, name
        assert not roots & {"training", "scripts", *PACKAGES["scripts"]}, name
        assert name.startswith(TORCH_MODULES) or not roots & TORCH, name
        assert room == "cli" or not roots & CLI_PACKAGES, name


@pytest.mark.parametrize("name", LEAVES)
def test_records_and_errors_stand_alone(name: str) -> None:
    assert _roots(name) - {"geotag"} <= set(sys.stdlib_module_names)
    assert _imported()[name] & set(MODULES) <= {"geotag.files.credentials"}


def test_training_and_scripts_stand_on_geotag_but_not_on_its_cli_or_pipeline() -> None:
    for name in (*PACKAGES["training"], *PACKAGES["scripts"]):
        rooms = {_room(module) for module in _imported()[name] if module in PACKAGES["geotag"]}
        documented = {"cli"} if name == "make_man" else set()  # man pages are of the command line
        assert not rooms & {"cli", "pipeline", "api"} - documented, name
        if name in PACKAGES["training"]:
            assert not _roots(name) & {"scripts", *PACKAGES["scripts"]}, name


def test_tests_reach_through_public_doors() -> None:
    private = re.compile(r"\b(?:geotag|training)\.[\w.]*\b_(?!fields|replace|asdict|make|_)\w+")
    imported = re.compile(r"from (?:geotag|training)[\w.]* import [^#\n]*\b_\w")
    for path in sorted((ROOT / "tests").rglob("*.py")):
        code = path.read_text("utf-8")
        assert not (private.findall(code) or imported.findall(code)), path


def _modules_after(code: str) -> set[str]:
    probe = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split()[-5000:])


def test_help_imports_nothing_heavy() -> None:
    code = "from geotag.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    heavy = {"torch", "numpy", "pandas", "PIL", "pyarrow", "tqdm"}
    assert not _modules_after(code) & heavy


@pytest.mark.slow
def test_a_network_is_checked_without_torch_s_compiler() -> None:
    """Its import takes longer than all else that a scan by PyTorch does first."""
    code = (
        "import torch\nfrom geotag.model.architectures import build_model\n"
        "with torch.device('meta'): build_model('lite1_pplcnetv2', 3)"
    )
    assert "torch._dynamo" not in _modules_after(code)


def test_importing_geotag_imports_nothing_heavy() -> None:
    assert not _modules_after("import geotag") & {"torch", "numpy", "PIL", "click"}


def test_a_scan_without_a_network_imports_nothing_heavy() -> None:
    assert not _modules_after("import geotag.pipeline") & {"torch", "numpy", "PIL", "click"}


def test_a_decoding_process_knows_no_sources() -> None:
    """Each scan starts some: what they import is waited for."""
    modules = _modules_after("import geotag.decoding.isolated")
    assert "numpy" not in modules
    loaded = {name.split(".")[1] for name in modules if name.startswith("geotag.")}
    assert loaded == {"decoding", "errors", "files", "metadata", "records"}
