"""Data flows one way: `types, errors ← medasr ← daemon`; and each heavy library is known to few."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

#: library → where it may be imported at all
HOMES = {
    "sqlalchemy": ("daemon/store/", "migrations/"),
    "alembic": ("daemon/store/migration.py", "migrations/"),
    "watchdog": ("daemon/intake/inbox.py",),
    "apscheduler": ("daemon/schedule.py",),
    "peft": ("medasr/whisper/", "medasr/training/"),
    "bitsandbytes": ("medasr/whisper/",),
    "transformers": ("medasr/whisper/", "medasr/packs"),
    "silero_vad": ("medasr/speech.py",),
    "datasets": ("medasr/dataset/",),
    "pyarrow": ("medasr/dataset/",),
    "jiwer": ("medasr/metrics/",),
    "whisper_normalizer": ("medasr/text/",),
    "sklearn": ("medasr/preparation/",),
    "librosa": ("medasr/exploration/",),
    "matplotlib": ("medasr/exploration/", "medasr/training/curve.py", "daemon/report/"),
    "jinja2": ("medasr/exploration/", "daemon/report/"),
}
#: never at a module's top outside the modules that only a model process imports
HEAVY = {
    *("torch", "transformers", "peft", "bitsandbytes", "librosa", "onnxruntime", "silero_vad"),
    *("datasets", "pyarrow", "sklearn", "matplotlib", "jiwer", "jinja2", "whisper_normalizer"),
}
#: modules that only the model process and a training import
MODEL_PROCESS = ("medasr/whisper/", "medasr/training/")


def modules() -> list[Path]:
    return sorted(path for folder in ("daemon", "medasr", "migrations") for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module imported by a file, and whether at its top level at run time."""
    tree = ast.parse(path.read_text())
    checking = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        top = id(node) not in inner
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, top


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
class TestImports:
    def test_the_library_never_imports_the_daemon(self, path: Path) -> None:
        if path.is_relative_to(ROOT / "medasr"):
            assert not [name for name, _ in imports(path) if name.split(".")[0] in ("daemon", "migrations")]

    def test_types_and_errors_import_nothing_of_ours(self, path: Path) -> None:
        if path in (ROOT / "medasr/types.py", ROOT / "medasr/errors.py"):
            assert not [name for name, _ in imports(path) if name.split(".")[0] in ("daemon", "medasr")]

    def test_each_library_is_imported_only_where_it_belongs(self, path: Path) -> None:
        place = str(path.relative_to(ROOT))
        for name, _ in imports(path):
            homes = HOMES.get(name.split(".")[0])
            assert homes is None or place.startswith(homes), f"{place} imports {name}"

    def test_models_are_imported_only_when_one_is_loaded(self, path: Path) -> None:
        if not str(path.relative_to(ROOT)).startswith(MODEL_PROCESS):
            assert not [name for name, top in imports(path) if top and name.split(".")[0] in HEAVY]


def test_only_the_boundaries_of_a_job_and_of_a_command_catch_everything() -> None:
    broad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    ]
    assert [place.split(":")[0] for place in broad] == ["daemon/control.py", "daemon/worker.py"]


def test_nothing_is_unpickled() -> None:
    for path in modules():
        names = {name.split(".")[0] for name, _ in imports(path)}
        assert not names & {"pickle", "dill", "joblib", "shelve", "marshal"}, path
        assert "torch.load(" not in path.read_text(), path
