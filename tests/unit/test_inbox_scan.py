"""What one look at the inbox finds, and what it leaves alone."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from daemon.intake.arrival import IgnoreCode
from daemon.intake.ignore import InboxRules, judge_name, judge_status, trusted_owners
from daemon.intake.inbox import InboxProblem, Scan, WatchState, scan
from daemon.intake.sidecar import SidecarWarning

RULES = InboxRules(extensions=("wav", "MP3"))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def put(path: Path, content: bytes = b"RIFF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(found: Scan) -> list[str]:
    return sorted(file.name for file in found.files)


def ignored(found: Scan) -> dict[str, IgnoreCode]:
    return {item.path.name: item.code for item in found.ignored}


def test_recordings_are_found_by_their_extension_in_any_case(inbox):
    (
        put(inbox / "a.wav"),
        put(inbox / "b.WAV"),
        put(inbox / "c.mp3"),
        put(inbox / "notes.txt"),
        put(inbox / "noextension"),
    )
    found = scan(inbox, RULES)
    assert names(found) == ["a.wav", "b.WAV", "c.mp3"]
    assert ignored(found) == {"notes.txt": IgnoreCode.EXTENSION, "noextension": IgnoreCode.EXTENSION}
    assert found.problem is None
    assert found.complete


def test_a_finding_says_where_the_file_is_and_what_it_is_now(inbox):
    path = put(inbox / "ward" / "night shift" / "a.wav", b"four")
    (file,) = scan(inbox, RULES).files
    status = path.stat()
    assert file.path == path
    assert file.label == "ward/night shift"
    assert file.fingerprint == (status.st_dev, status.st_ino, 4, status.st_mtime_ns)


def test_a_label_is_printable(inbox):
    put(inbox / "ward\n2" / "a.wav")
    assert scan(inbox, RULES).files[0].label == r"ward\u000a2"


def test_names_that_are_no_text_are_kept_as_bytes(inbox):
    name = b"caf\xe9\n;$(rm).wav"
    (Path(os.fsdecode(os.fsencode(inbox) + b"/" + name))).write_bytes(b"x")
    (file,) = scan(inbox, RULES).files
    assert file.name_bytes == name
    assert file.path.read_bytes() == b"x"


def test_an_empty_file_is_found_so_that_it_can_be_waited_for(inbox):
    put(inbox / "a.wav", b"")
    assert scan(inbox, RULES).files[0].size == 0


def test_symbolic_links_are_never_followed(inbox, tmp_path):
    outside = put(tmp_path / "secret.wav")
    (inbox / "outside.wav").symlink_to(outside)
    (inbox / "dangling.wav").symlink_to("nowhere")
    (inbox / "loop.wav").symlink_to("loop.wav")
    (inbox / "folder").symlink_to(tmp_path, target_is_directory=True)
    found = scan(inbox, RULES)
    assert found.files == ()
    assert set(ignored(found).values()) == {IgnoreCode.SYMLINK}
    assert len(found.ignored) == 4


def test_what_is_no_regular_file_is_named_for_what_it_is(inbox):
    os.mkfifo(inbox / "pipe.wav")
    (inbox / "folder.wav").mkdir()
    put(inbox / "folder.wav" / "inside.wav")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(inbox / "socket.wav"))
    found = scan(inbox, RULES)
    assert found.files == ()
    assert ignored(found) == {
        "pipe.wav": IgnoreCode.FIFO,
        "folder.wav": IgnoreCode.FOLDER,
        "socket.wav": IgnoreCode.SOCKET,
    }


@pytest.mark.parametrize(
    ("mode", "links", "owner", "code"),
    [
        (stat.S_IFREG, 1, 0, None),
        (stat.S_IFREG, 2, 1000, None),
        (stat.S_IFREG, 2, 1001, IgnoreCode.HARD_LINK),
        (stat.S_IFREG, 2, 0, IgnoreCode.HARD_LINK),
        (stat.S_IFLNK, 1, 1000, IgnoreCode.SYMLINK),
        (stat.S_IFIFO, 1, 1000, IgnoreCode.FIFO),
        (stat.S_IFSOCK, 1, 1000, IgnoreCode.SOCKET),
        (stat.S_IFCHR, 1, 1000, IgnoreCode.DEVICE),
        (stat.S_IFBLK, 1, 1000, IgnoreCode.DEVICE),
        (stat.S_IFDIR, 2, 1000, IgnoreCode.FOLDER),
    ],
)
def test_a_further_name_of_another_users_file_is_not_taken(mode, links, owner, code):
    """A hard link to /etc/shadow is how somebody would make root's daemon read it for him."""
    status = os.stat_result((mode | 0o644, 1, 1, links, owner, 0, 10, 0, 0, 0))
    assert judge_status(status, trusted_owners([0, 1000])) is code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("visit.wav", None),
        ("-rf.wav", None),
        ("CON.wav", None),
        ("participate.wav", None),
        (".visit.wav", IgnoreCode.HIDDEN),
        (".visit.wav.Xa91b2", IgnoreCode.HIDDEN),
        (".x.wav.part", IgnoreCode.TEMPORARY),
        ("visit.wav.part", IgnoreCode.TEMPORARY),
        ("visit.WAV.FILEPART", IgnoreCode.TEMPORARY),
        ("visit.wav.crdownload", IgnoreCode.TEMPORARY),
        ("visit.tmp", IgnoreCode.TEMPORARY),
        ("visit.wav~", IgnoreCode.TEMPORARY),
        ("~$visit.wav", IgnoreCode.TEMPORARY),
        (".DS_Store", IgnoreCode.SYSTEM),
        ("._visit.wav", IgnoreCode.SYSTEM),
        ("Thumbs.db", IgnoreCode.SYSTEM),
        ("@eaDir", IgnoreCode.SYSTEM),
        (".stfolder", IgnoreCode.SYSTEM),
        ("__MACOSX", IgnoreCode.SYSTEM),
    ],
)
def test_names_that_programs_leave_behind_are_ignored(name, code):
    assert judge_name(name) is code


def test_hidden_temporary_and_system_folders_are_not_entered(inbox):
    for folder in (".hidden", "upload.part", "@eaDir", "__MACOSX"):
        put(inbox / folder / "a.wav")
    assert scan(inbox, RULES).files == ()


def test_metadata_goes_with_its_recording(inbox):
    put(inbox / "a.wav"), put(inbox / "a.json", b"{}")
    put(inbox / "b.wav"), put(inbox / "b.wav.json", b"{}"), put(inbox / "b.json", b"{}")
    put(inbox / "ward" / "c.wav"), put(inbox / "c.json", b"{}")
    found = scan(inbox, RULES)
    sidecars = {file.name: file.sidecar and file.sidecar.name for file in found.files}
    assert sidecars == {"a.wav": "a.json", "b.wav": "b.wav.json", "c.wav": None}
    assert ignored(found) == {"b.json": IgnoreCode.SIDECAR_WAITING, "c.json": IgnoreCode.SIDECAR_WAITING}


def test_of_two_recordings_with_one_stem_the_first_by_name_gets_the_metadata(inbox):
    put(inbox / "a.wav"), put(inbox / "a.mp3"), put(inbox / "a.json", b"{}")
    assert {file.name: bool(file.sidecar) for file in scan(inbox, RULES).files} == {"a.mp3": True, "a.wav": False}


def test_metadata_that_is_a_link_is_ignored_like_any_link(inbox, tmp_path):
    put(tmp_path / "secret.json", b"{}")
    put(inbox / "a.wav")
    (inbox / "a.json").symlink_to(tmp_path / "secret.json")
    found = scan(inbox, RULES)
    assert found.files[0].sidecar is None
    assert ignored(found) == {"a.json": IgnoreCode.SYMLINK}


def test_folders_are_read_only_to_a_certain_depth(inbox):
    put(inbox.joinpath(*"abcd", "deep.wav")), put(inbox.joinpath(*"abc", "high.wav"))
    found = scan(inbox, InboxRules(extensions=("wav",), max_depth=3))
    assert names(found) == ["high.wav"]
    assert ignored(found) == {"d": IgnoreCode.TOO_DEEP}


def test_a_folder_that_cannot_be_read_does_not_keep_the_others_from_being_served(inbox, monkeypatch):
    put(inbox / "closed" / "a.wav"), put(inbox / "open" / "b.wav")
    real_open = os.open

    def refuse(path, *arguments, **options):
        if path == "closed":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    found = scan(inbox, RULES)
    assert names(found) == ["b.wav"]
    assert ignored(found) == {"closed": IgnoreCode.UNREADABLE_FOLDER}


def test_a_scan_gives_a_bounded_number_of_files_and_says_so(inbox):
    for number in range(10):
        put(inbox / f"{number}.wav"), put(inbox / f"{number}.txt")
    found = scan(inbox, InboxRules(extensions=("wav",), max_files=4, max_ignored=3))
    assert (len(found.files), len(found.ignored), found.complete) == (4, 3, False)
    assert found.ignored_counts == {IgnoreCode.EXTENSION: 10}


def test_files_may_vanish_while_they_are_looked_at(inbox, monkeypatch):
    put(inbox / "a.wav"), put(inbox / "b.wav"), put(inbox / "ward" / "c.wav")
    real_scandir = os.scandir

    def vanish(folder):
        entries = real_scandir(folder)
        listed = list(entries)
        (inbox / "a.wav").unlink(missing_ok=True)
        if (inbox / "ward" / "c.wav").exists():
            (inbox / "ward" / "c.wav").unlink()
            (inbox / "ward").rmdir()

        class Listing:
            def __enter__(self):
                return iter(listed)

            def __exit__(self, *_):
                entries.close()

        return Listing()

    monkeypatch.setattr(os, "scandir", vanish)
    found = scan(inbox, RULES)
    assert names(found) == ["b.wav"]
    assert found.problem is None


def test_a_missing_inbox_is_a_problem_that_goes_away(tmp_path):
    inbox = tmp_path / "inbox"
    assert scan(inbox, RULES) == Scan(problem=InboxProblem.MISSING)
    put(inbox)
    assert scan(inbox, RULES).problem is InboxProblem.NOT_A_FOLDER
    inbox.unlink()
    put(inbox / "a.wav")
    assert names(scan(inbox, RULES)) == ["a.wav"]


@pytest.mark.parametrize(
    ("number", "problem"),
    [(13, InboxProblem.PERMISSION), (5, InboxProblem.UNREACHABLE), (116, InboxProblem.UNREACHABLE)],
    ids=["EACCES", "EIO", "ESTALE"],
)
def test_an_inbox_that_cannot_be_opened_says_why(inbox, monkeypatch, number, problem):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    assert scan(inbox, RULES).problem is problem


def test_an_inbox_from_which_nothing_can_be_removed_is_a_problem(inbox, monkeypatch):
    put(inbox / "a.wav")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    found = scan(inbox, RULES)
    assert found.problem is InboxProblem.READ_ONLY
    assert names(found) == ["a.wav"]


def test_an_inbox_that_was_replaced_has_another_identity(inbox, tmp_path):
    before = scan(inbox, RULES).identity
    inbox.rename(tmp_path / "away")
    inbox.mkdir()
    assert scan(inbox, RULES).identity != before


def test_the_inbox_itself_may_be_a_symbolic_link(inbox, tmp_path):
    put(inbox / "a.wav")
    (tmp_path / "link").symlink_to(inbox)
    assert names(scan(tmp_path / "link", RULES)) == ["a.wav"]


@pytest.mark.parametrize("code", [*IgnoreCode, *InboxProblem, *WatchState, *SidecarWarning])
def test_every_code_is_explained_to_people(code):
    assert f"`{code}`" in (Path(__file__).parents[2] / "docs" / "intake.md").read_text()
