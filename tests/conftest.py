"""What the tests share: weights, the medical recordings where they are available, and a home."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from daemon.config import Config, load_config
from daemon.config_template import render_toml

ROOT = Path(__file__).parent.parent
#: Weights are fetched once and kept between runs; `make clean` removes them.
MODELS = ROOT / ".cache" / "models"
#: 223 recordings of the medical speech dataset, in the schema of its Kaggle publication but as FLAC.
MEDICAL_SPEECH = ROOT.parent / "shared" / "data" / "medical-speech"

# A busy machine is no finding: nothing is asserted about elapsed time.
settings.register_profile("medasr", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("medasr")

# No test and nothing that it starts reaches a model hub.
os.environ["HF_HUB_OFFLINE"] = "1"
for name in [name for name in os.environ if name.startswith("MEDASRD_")]:
    del os.environ[name]


def pull(name: str) -> Path:
    """Install a pack into the shared folder of weights, unless it is there."""
    command = [sys.executable, "-c", "from daemon.cli import main; main()", "models", "pull", name, "--config"]
    MODELS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:  # two workers may pull at the same time: one waits for the other
        config = Path(folder) / "config.toml"
        config.write_text(render_toml({"paths": {"models": MODELS}}))
        subprocess.run([*command, str(config)], check=True)
    return MODELS / name


@pytest.fixture(scope="session")
def tiny_whisper() -> Path:
    """Real weights, the smallest there are: whisper-tiny.en."""
    return pull("whisper-tiny.en")


@pytest.fixture(scope="session")
def base_whisper() -> Path:
    """The embedded default: whisper-base."""
    return pull("whisper-base")


@pytest.fixture(scope="session")
def medical_speech() -> Path:
    """The folder with the real recordings; tests that ask for it are skipped, loudly, where it is absent."""
    if not (MEDICAL_SPEECH / "overview-of-recordings.csv").exists():
        pytest.skip(
            f"REAL RECORDINGS ARE MISSING: {MEDICAL_SPEECH} is not there, so accuracy on real speech is NOT tested"
        )
    return MEDICAL_SPEECH


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for a home, closed to others."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def config(home: Path) -> Config:
    """The configuration of a home with the tiny model and short waits."""
    return write_config(home)


def write_config(home: Path, **sections: dict[str, object]) -> Config:
    """Write HOME/config.toml with values that suit tests, and read it."""
    values: dict[str, dict[str, object]] = {
        "paths": {"models": MODELS},
        "model": {"base": "whisper-tiny.en", "device": "cpu", "threads": 2},
        "intake": {"settle_seconds": 0.3, "rescan_seconds": 0.2, "min_free_bytes": 0},
        "jobs": {"retry_seconds": 0.5},
        "schedule": {"backup": "disable", "check": "disable"},
    }
    for section, options in sections.items():
        values[section] = {**values.get(section, {}), **options}
    path = home / "config.toml"
    path.write_text(render_toml(values))
    (home / "inbox").mkdir(exist_ok=True)
    return load_config(path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the very end what was not tested."""
    if not MEDICAL_SPEECH.exists():
        terminalreporter.write_line(
            f"NOT TESTED: accuracy on real recordings, since {MEDICAL_SPEECH} is not there", red=True
        )
