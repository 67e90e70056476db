"""The decode server: one process, one child per recording, whatever the recording does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import daemon.decode.host
from daemon.config import Config
from daemon.decode.host import COMMAND, DecodeServer, decode_limits
from daemon.decode.server import READY, DecodeLimits
from medasr.audio import normalize, read_normalized
from medasr.errors import FatalError, Reason, RecordingError, TransientError
from medasr.types import AudioFacts
from tests.support import misbehaving_decoder, recordings
from tests.support.misbehaving_decoder import misbehave
from tests.support.processes import await_condition, children, is_running

LIMITS = DecodeLimits(max_seconds=3600, accept_truncated=False, memory_bytes=2**29, seconds_floor=60, speed_floor=4)
MISBEHAVING = (*COMMAND, misbehaving_decoder.MODULE)


@pytest.fixture(scope="module")
def server() -> Iterator[DecodeServer]:
    with DecodeServer(MISBEHAVING) as running:
        yield running


def decode(server: DecodeServer, recording: Path, limits: DecodeLimits = LIMITS) -> AudioFacts:
    source = os.open(recording, os.O_RDONLY)
    sink = os.open(recording.with_suffix(".f32"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        return server.decode(source, sink, limits)
    finally:
        os.close(source)
        os.close(sink)


def visit(folder: Path) -> Path:
    recordings.wav_stereo(folder / "visit.wav")
    return folder / "visit.wav"


def test_the_server_gives_what_normalize_gives(server: DecodeServer, tmp_path: Path) -> None:
    recording = visit(tmp_path)
    facts = decode(server, recording)
    with recording.open("rb") as source, (tmp_path / "expected").open("w+b") as sink:
        assert facts == normalize(source.fileno(), sink.fileno())
    assert recording.with_suffix(".f32").read_bytes() == (tmp_path / "expected").read_bytes()
    assert len(read_normalized(recording.with_suffix(".f32"))) == 32_000


def test_one_server_serves_many_recordings(server: DecodeServer, tmp_path: Path) -> None:
    recording = visit(tmp_path)
    decode(server, recording)
    first = server.process_id
    decode(server, recording)
    assert server.process_id == first


def test_the_server_starts_when_it_is_first_needed(tmp_path: Path) -> None:
    with DecodeServer() as server:
        assert server.process_id is None
        decode(server, visit(tmp_path))
        assert server.process_id is not None


def test_a_server_that_died_is_replaced(tmp_path: Path) -> None:
    with DecodeServer() as server:
        server.start()
        killed = server.process_id
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await_condition(lambda: server.process_id is None)
        decode(server, visit(tmp_path))
        assert server.process_id != killed


def test_threads_take_turns(server: DecodeServer, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    threads = [threading.Thread(target=decode, args=(server, visit(folder))) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = {(folder / "visit.f32").read_bytes() for folder in folders}
    assert len(outcomes) == 1


def test_signals_for_the_daemon_leave_the_server_alone(server: DecodeServer, tmp_path: Path) -> None:
    server.start()
    process = server.process_id
    assert process is not None
    assert os.getsid(process) != os.getsid(0), "a terminal's Ctrl-C would reach it"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process, number)
    decode(server, visit(tmp_path))
    assert server.process_id == process


def test_the_server_sees_nothing_of_the_daemons_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with DecodeServer() as server:
        server.start()
        assert b"secret" not in Path(f"/proc/{server.process_id}/environ").read_bytes()


def test_the_server_leaves_with_the_daemon_even_while_it_decodes(tmp_path: Path) -> None:
    recording = misbehave(tmp_path / "visit.wav", "hang")
    program = (
        "import os, sys\nfrom daemon.decode.host import DecodeServer\n"
        "from tests.integration.test_decode import LIMITS, MISBEHAVING\n"
        "server = DecodeServer(MISBEHAVING)\nserver.start()\nprint(server.process_id, flush=True)\n"
        "server.decode(os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[1], os.O_RDWR), LIMITS)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen((sys.executable, "-c", program, recording), stdout=subprocess.PIPE, cwd=root) as stand_in:
        assert stand_in.stdout is not None
        server = int(stand_in.stdout.readline())
        await_condition(lambda: bool(children(server)))
        child = children(server)[0]
        stand_in.kill()
    await_condition(lambda: not is_running(server))
    await_condition(lambda: not is_running(child))


def test_stopping_ends_a_decode_in_flight(tmp_path: Path) -> None:
    raised: list[Exception] = []

    def decode_and_keep_error() -> None:
        try:
            decode(server, misbehave(tmp_path / "visit.wav", "hang"))
        except TransientError as error:
            raised.append(error)

    server = DecodeServer(MISBEHAVING)
    server.start()
    process = server.process_id
    assert process is not None
    thread = threading.Thread(target=decode_and_keep_error)
    thread.start()
    await_condition(lambda: bool(children(process)))
    server.stop()
    thread.join()
    assert len(raised) == 1
    assert not is_running(process)


def test_a_stopped_server_decodes_nothing_until_it_is_started_again(tmp_path: Path) -> None:
    with DecodeServer() as server:
        server.stop()
        with pytest.raises(TransientError, match="stopped"):
            decode(server, visit(tmp_path))
        server.start()
        decode(server, visit(tmp_path))


def test_a_server_that_cannot_run_is_fatal() -> None:
    with (
        DecodeServer((sys.executable, "-c", "raise SystemExit(1)")) as server,
        pytest.raises(FatalError, match="doctor"),
    ):
        server.start()


def test_a_server_that_never_gets_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.decode.host, "START_SECONDS", 0.1)
    with DecodeServer((sys.executable, "-c", "import signal; signal.pause()")) as server:
        with pytest.raises(TransientError, match="not ready"):
            server.start()
        assert server.process_id is None


def test_a_server_that_stops_answering_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(daemon.decode.host, "ANSWER_GRACE_SECONDS", 0.1)
    silent = f"import signal, socket; server = socket.socket(fileno=0); server.send({READY!r}); signal.pause()"
    limits = DecodeLimits(max_seconds=0.1, accept_truncated=False, memory_bytes=2**29, seconds_floor=0.1, speed_floor=4)
    with DecodeServer((sys.executable, "-c", silent)) as server:
        with pytest.raises(RecordingError) as raised:
            decode(server, visit(tmp_path), limits)
        assert raised.value.reason is Reason.DECODER_TIMEOUT
        assert server.process_id is None


def test_limits_come_from_the_configuration() -> None:
    config = Config(
        intake={"max_seconds": 600.0, "truncated": "transcribe"},
        decode={"memory_bytes": 2**30, "seconds_floor": 10.0, "speed_floor": 2.0},
    )
    limits = decode_limits(config)
    assert limits == DecodeLimits(
        max_seconds=600.0, accept_truncated=True, memory_bytes=2**30, seconds_floor=10.0, speed_floor=2.0
    )
    assert [limits.seconds_for(length) for length in (1.0, 100.0, 1e9)] == [10.0, 50.0, 300.0]


def test_the_daemon_itself_never_loads_libsndfile() -> None:
    program = "import sys, daemon.decode; sys.exit('soundfile' in sys.modules)"
    assert subprocess.run((sys.executable, "-c", program), cwd=Path(__file__).parents[2], check=False).returncode == 0
