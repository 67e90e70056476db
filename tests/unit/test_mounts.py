"""Which folders lie on another machine, found per mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.intake.mounts import Mount, mount_of, mounts_below, read_mounts, remote_mounts

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:50 / /srv/inbox/clinic\040A rw,relatime shared:9 master:2 - cifs //nas/clinic\040A rw,vers=3.1.1
41 27 0:51 / /srv/inbox/local rw,relatime - xfs /dev/sdb1 rw
42 27 0:52 / /mnt/share rw,relatime - nfs4 nas:/export rw
43 27 0:53 / /mnt/cloud rw,relatime - fuse.rclone remote: rw
44 27 0:54 / /mnt/stick rw,relatime - fuseblk /dev/sdc1 rw
45 27 0:55 / /mnt/again rw,relatime - nfs4 nas:/old rw
46 45 0:56 / /mnt/again rw,relatime - ext4 /dev/sdd1 rw
not a line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> tuple[Mount, ...]:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    return read_mounts(tmp_path / "mountinfo")


def test_mount_points_are_unescaped_and_broken_lines_skipped(mounts):
    assert len(mounts) == 9
    assert mounts[2] == Mount(point=Path("/srv/inbox/clinic A"), kind="cifs")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/inbox", "ext4"),
        ("/srv/inbox/clinic A", "cifs"),
        ("/srv/inbox/clinic A/ward/not/yet/there", "cifs"),
        ("/srv/inbox/clinic AB", "ext4"),
        ("/mnt/share/inbox", "nfs4"),
        ("/mnt/again", "ext4"),
    ],
)
def test_a_folder_belongs_to_the_innermost_mount_that_is_visible(mounts, folder, kind):
    assert mount_of(Path(folder), mounts).kind == kind


def test_a_share_mounted_inside_a_local_inbox_is_found(mounts):
    assert [mount.kind for mount in mounts_below(Path("/srv/inbox"), mounts)] == ["cifs", "xfs"]
    assert [mount.kind for mount in remote_mounts(Path("/srv/inbox"), mounts)] == ["cifs"]


def test_an_inbox_on_a_share_is_found(mounts):
    assert [mount.kind for mount in remote_mounts(Path("/mnt/share/inbox"), mounts)] == ["nfs4"]
    assert remote_mounts(Path("/home"), mounts) == ()


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *(
            (kind, True)
            for kind in ("cifs", "smb3", "nfs", "nfs4", "9p", "virtiofs", "ceph", "fuse.sshfs", "fuse.davfs")
        ),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.ntfs-3g")),
    ],
)
def test_file_systems_that_others_can_change_are_remote(kind, remote):
    assert Mount(point=Path("/"), kind=kind).is_remote is remote


def test_a_symbolic_link_to_a_share_counts_as_the_share(tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "inbox").symlink_to(tmp_path / "share")
    mounts = (Mount(point=Path("/"), kind="ext4"), Mount(point=tmp_path / "share", kind="cifs"))
    assert mount_of(tmp_path / "inbox", mounts).kind == "cifs"


def test_where_the_kernel_does_not_tell_nothing_is_claimed(tmp_path):
    assert read_mounts(tmp_path / "missing") == ()
    assert mount_of(tmp_path, ()) is None
    assert remote_mounts(tmp_path, ()) == ()


def test_this_machines_own_mounts_are_read():
    assert mount_of(Path("/proc/self")).kind == "proc"
