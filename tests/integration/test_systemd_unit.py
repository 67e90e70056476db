"""The unit, judged by systemd's own tools and held against what the program promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medasr.errors import ConfigurationError, StoreError

SYSTEMD = Path(__file__).resolve().parents[2] / "daemon" / "systemd"
UNIT = SYSTEMD / "medasrd.service"
CPU_ONLY = SYSTEMD / "cpu-only.conf"

#: systemd-analyze counts in tenths: 15 is an exposure of 1.5 out of 10.
MOST_EXPOSED = 15

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed here: THE UNIT'S HARDENING IS NOT CHECKED",
)


def settings(path: Path) -> dict[str, list[str]]:
    """The values of every setting of the [Service] section; systemd lets a setting be given several times."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture(params=["cuda", "cpu only"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit as installed, with a program that exists on this machine; once with the drop-in."""
    (command,) = settings(UNIT)["ExecStart"]
    text = UNIT.read_text(encoding="utf-8").replace(command.split()[0], sys.executable)
    installed = tmp_path / UNIT.name
    if request.param == "cpu only":
        # systemd-analyze reads no drop-ins offline; appended, the settings count in the same order.
        text = text.replace("[Install]", CPU_ONLY.read_text(encoding="utf-8") + "\n[Install]")
    installed.write_text(text, encoding="utf-8")
    return installed


@analyze
def test_systemd_finds_nothing_to_complain_about(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@analyze
def test_the_service_is_hardly_exposed(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_a_restart_cannot_mend_what_a_person_must() -> None:
    (codes,) = settings(UNIT)["RestartPreventExitStatus"]
    assert {int(code) for code in codes.split()} == {ConfigurationError.exit_code, StoreError.exit_code}


def test_patients_words_reach_neither_a_core_dump_nor_another_user() -> None:
    found = settings(UNIT)
    assert found["LimitCORE"] == ["0"]
    assert found["UMask"] == ["0077"]
    assert found["StateDirectoryMode"] == found["CacheDirectoryMode"] == ["0700"]


def test_the_service_has_no_network() -> None:
    found = settings(UNIT)
    assert found["PrivateNetwork"] == ["yes"]
    assert "HF_HUB_OFFLINE=1" in found["Environment"]


def test_without_a_card_no_device_is_allowed() -> None:
    found = settings(CPU_ONLY)
    assert found["DeviceAllow"] == [""]
    assert found["PrivateDevices"] == ["yes"]
