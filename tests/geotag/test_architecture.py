"""Who may import whom, and what must stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "geotag"
MODULES = {
    ".".join(("geotag", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TORCH_ROOMS = ("geotag.model.architectures", "geotag.model.networks", "geotag.engines.")
CLI_PACKAGES = {"click", "tqdm"}


def _imports(path: Path, at_load: bool) -> set[str]:
    """What a module imports, by full name; with `at_load` only what importing it imports."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        skipped = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if at_load and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            skipped = True
        if not skipped:
            pending.extend(ast.iter_child_nodes(node))
    return found


def test_no_cycles() -> None:
    graph = {name: _imports(path, at_load=True) & set(MODULES) for name, path in MODULES.items()}
    for name, imported in graph.items():
        imported.discard(name)
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("name", MODULES)
def test_rooms(name: str) -> None:
    roots = {imported.split(".")[0] for imported in _imports(MODULES[name], at_load=False)}
    own = _imports(MODULES[name], at_load=False)
    assert "training" not in roots
    if not name.startswith("geotag.cli"):
        assert not roots & CLI_PACKAGES
        assert not any(imported.startswith("geotag.cli") for imported in own - {name}) or (
            name == "geotag.__main__"
        )
    if not name.startswith(TORCH_ROOMS):
        assert "torch" not in roots
    if name in ("geotag.records", "geotag.errors", "geotag.files.credentials"):
        ours = {imported for imported in own if imported.startswith("geotag")}
        assert roots - {"geotag"} <= set(sys.stdlib_module_names) | {"__future__"}
        assert all(imported.startswith("geotag.files.credentials") for imported in ours)


def test_training_stands_on_geotag_but_not_on_its_cli() -> None:
    for path in sorted((PACKAGE.parent / "training").rglob("*.py")):
        for imported in _imports(path, at_load=False):
            assert not imported.startswith(("geotag.cli", "geotag.pipeline")), path


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


def test_importing_geotag_imports_nothing_heavy() -> None:
    assert not _modules_after("import geotag") & {"torch", "numpy", "PIL", "click"}
