"""A home is closed to others, and worked on by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.config import Config
from daemon.home import LOCK_NAME, locked, prepare
from medasr.errors import AlreadyRunning, ConfigurationError
from tests.conftest import write_config

#: Takes the lock of the folder given, says so, and holds it until its input ends.
HOLDER = (
    "import sys; from pathlib import Path; from daemon.home import locked\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def modes(config: Config) -> dict[str, int]:
    paths = config.paths
    folders = {
        "state": paths.state,
        "samples": paths.samples,
        "backups": paths.backups,
        "outbox": paths.outbox,
        "quarantine": paths.quarantine,
    }
    return {name: stat.S_IMODE(folder.stat().st_mode) for name, folder in folders.items()}


class TestPreparing:
    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_folders_are_made_for_the_service_alone_whatever_the_umask(self, config: Config, umask: int) -> None:
        before = os.umask(umask)
        try:
            prepare(config)
        finally:
            os.umask(before)
        assert set(modes(config).values()) == {0o700}

    def test_the_group_may_look_into_what_people_read_and_nowhere_else(self, home: Path) -> None:
        config = write_config(home, outbox={"group_readable": True})
        prepare(config)
        assert modes(config) == {
            "state": 0o700,
            "samples": 0o700,
            "backups": 0o700,
            "outbox": 0o750,
            "quarantine": 0o750,
        }

    def test_a_folder_of_models_that_homes_share_keeps_its_mode(self, home: Path) -> None:
        config = write_config(home, paths={"models": str(home / "shared")})
        config.paths.models.mkdir()
        config.paths.models.chmod(0o755)
        prepare(config)
        assert stat.S_IMODE(config.paths.models.stat().st_mode) == 0o755

    def test_doing_it_again_changes_nothing(self, config: Config) -> None:
        prepare(config)
        (config.paths.samples / "file").touch()
        prepare(config)
        assert (config.paths.samples / "file").exists()

    def test_an_outbox_that_is_read_only_now_keeps_nothing_from_starting(
        self, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare(config)
        config.paths.outbox.chmod(0o755)
        chmod = Path.chmod

        def read_only(path: Path, mode: int) -> None:
            if path == config.paths.outbox:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            chmod(path, mode)

        monkeypatch.setattr(Path, "chmod", read_only)
        prepare(config)

    def test_the_outbox_s_other_bits_are_the_hospital_s(self, config: Config) -> None:
        prepare(config)
        config.paths.outbox.chmod(0o2700)
        prepare(config)
        assert stat.S_IMODE(config.paths.outbox.stat().st_mode) == 0o2700

    def test_a_file_in_the_outbox_s_place_is_named(self, config: Config) -> None:
        config.paths.outbox.touch()
        with pytest.raises(ConfigurationError, match=rf"{config.paths.outbox} cannot be made or given its mode"):
            prepare(config)

    @pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o701])
    def test_a_state_that_others_could_have_read_is_refused_with_what_to_do(self, config: Config, mode: int) -> None:
        prepare(config)
        config.paths.state.chmod(mode)
        command = re.escape(f"chmod 700 {config.paths.state}")
        with pytest.raises(ConfigurationError, match=f"open to others.*{command}"):
            prepare(config)
        assert stat.S_IMODE(config.paths.state.stat().st_mode) == mode

    @pytest.mark.parametrize("name", ["state", "outbox", "quarantine"])
    def test_a_folder_that_cannot_be_made_is_named(self, config: Config, name: str) -> None:
        folder: Path = getattr(config.paths, name)
        folder.write_text("a file is in the way")
        folder.chmod(0o600)
        with pytest.raises(ConfigurationError, match=re.escape(str(folder))):
            prepare(config)


class TestLock:
    def test_a_second_process_is_refused_with_what_to_do(self, config: Config) -> None:
        prepare(config)
        command = [sys.executable, "-c", HOLDER, str(config.paths.state)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(AlreadyRunning, match="stop it first"), locked(config.paths.state):
                pass
            holder.kill()
        with locked(config.paths.state):  # a dead process holds nothing
            pass

    def test_it_is_given_back_at_the_end_and_after_an_error(self, config: Config) -> None:
        prepare(config)
        with pytest.raises(ZeroDivisionError), locked(config.paths.state):
            raise ZeroDivisionError
        with locked(config.paths.state):
            pass

    def test_it_is_not_inherited_by_programs_that_are_started(self, config: Config) -> None:
        prepare(config)
        with locked(config.paths.state):
            command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, close_fds=False)
            assert child.stdout is not None
            child.stdout.readline()
        try:
            with (config.paths.state / LOCK_NAME).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            child.kill()
            child.communicate()

    def test_without_a_state_folder_the_next_step_is_named(self, config: Config) -> None:
        with pytest.raises(ConfigurationError, match="medasrd init"), locked(config.paths.state):
            pass
