import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.contract.record import Disk
from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.credentials import hashes_in_config, plaintext_in_config
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.esp import REMOVABLE_LOADER
from hyops_assets.image.disk.ext4 import FileSystemFailed, Slot
from hyops_assets.image.disk.gpt import BadPartitionTable, read_table
from hyops_assets.image.disk.grub import CONFIG_DIRECTORY, GrubFailed
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.intake.iso import OpenedIso, open_iso
from hyops_assets.image.intake.layout import UnknownLayout
from hyops_assets.image.methods.native import LABEL, BadDisk, build_native, partition_table
from hyops_assets.image.overlay.lock import PackageLock
from hyops_assets.image.programs import run
from hyops_assets.image.space import NoSpace
from hyops_assets.image.squashfs import BadSquashfs, Squashfs
from hyops_assets.image.vyos_config import read_configuration
from hyops_lab.miniature import VYATTACFG
from tests.full_disk import file_size_limit
from tests.image.conftest import DISK_BYTES, RELEASE, Workshop

pytestmark = pytest.mark.seconds

IMAGE = f"/boot/{RELEASE}"
UPPER = f"{IMAGE}/rw"


def passwords_in(config: str) -> list[str]:
    """Return the owners of the passwords with which a login works."""
    read = read_configuration(config)
    return [*(hashed.owner for hashed in hashes_in_config(read)), *plaintext_in_config(read)]


@pytest.fixture(scope="module")
def opened(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> OpenedIso:
    return open_iso(workshop.iso.iso, release=RELEASE, scratch=tmp_path_factory.mktemp("opened"))


@pytest.fixture(scope="module")
def files(built: tuple[Path, BuiltDisk]) -> Ext4Files:
    return files_of(built[0])


def files_of(disk: Path) -> Ext4Files:
    root = read_table(disk).partitions[2]
    return Ext4Files(Slot(disk, root.offset, root.size_bytes))


def native(opened: OpenedIso, overlay: Tree, directory: Path, **changes: object) -> Path:
    arguments = {"disk_bytes": DISK_BYTES, "console": "ttyS0", "destination": directory / "disk.raw", **changes}
    build_native(opened, overlay, scratch=directory, **arguments)  # type: ignore[arg-type]
    return directory / "disk.raw"


def test_the_disk_is_what_the_builder_says(built: tuple[Path, BuiltDisk]) -> None:
    disk, result = built
    assert disk.stat().st_size == result.disk.size_bytes == DISK_BYTES
    assert sha256_of_file(disk) == result.disk.sha256


def test_the_disk_is_sparse(built: tuple[Path, BuiltDisk]) -> None:
    assert built[0].stat().st_blocks * 512 < DISK_BYTES // 4


def test_nothing_is_left_in_scratch(built: tuple[Path, BuiltDisk]) -> None:
    assert [path.name for path in built[0].parent.iterdir()] == ["disk.raw"]


def test_sgdisk_finds_no_fault_with_the_table(built: tuple[Path, BuiltDisk]) -> None:
    printed = run(["sgdisk", "-v", "-p", built[0]]).text
    assert "No problems found" in printed
    assert [line.split()[5] for line in printed.splitlines() if line.strip()[:1].isdigit()][-3:] == [
        "EF02",
        "EF00",
        "8300",
    ]


def test_the_table_that_was_read_is_the_one_that_was_written(built: tuple[Path, BuiltDisk]) -> None:
    assert read_table(built[0]) == partition_table(RELEASE, DISK_BYTES)


@pytest.mark.parametrize("size", [512 << 20, (512 << 20) + 512, 4 << 30, (10 << 30) - 512])
def test_the_last_partition_ends_before_the_backup_table(size: int) -> None:
    last = partition_table(RELEASE, size).partitions[2]
    assert last.size_bytes % 4096 == 0
    assert size - 33 * 512 - 4096 < last.offset + last.size_bytes <= size - 33 * 512


@pytest.mark.parametrize("at", [512 + 20, 1024 + 5, DISK_BYTES - 512 + 60, DISK_BYTES - 33 * 512 + 3])
def test_a_damaged_table_is_refused(at: int, built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    disk = copied(built[0], tmp_path)
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5")
    with pytest.raises(BadPartitionTable):
        read_table(disk)


def test_partition_3_is_the_persistence_file_system(built: tuple[Path, BuiltDisk]) -> None:
    root = read_table(built[0]).partitions[2]
    # Not dumpe2fs: of an image within a file, that of e2fsprogs 1.47.2 takes an option for the device.
    printed = run(["debugfs", "-R", "show_super_stats -h", f"{built[0]}?offset={root.offset}"]).text
    assert f"Filesystem volume name:   {LABEL}\n" in printed
    assert str(root.unique) in printed


def test_the_squashfs_is_copied_byte_for_byte(files: Ext4Files, built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    files.dump(f"{IMAGE}/{RELEASE}.squashfs", tmp_path / "copy")
    assert sha256_of_file(tmp_path / "copy") == built[1].squashfs_sha256


def test_kernel_and_initrd_stand_under_both_names(files: Ext4Files, opened: OpenedIso) -> None:
    for name in ("vmlinuz", "initrd.img"):
        long_name = Path(opened.squashfs.resolve(f"/boot/{name}")).name
        assert files.read(f"{IMAGE}/{name}") == files.read(f"{IMAGE}/{long_name}") != b""


def test_the_overlay_directories_are_those_of_vyos(files: Ext4Files) -> None:
    assert files.read("/persistence.conf") == b"/ union\n"
    for directory in (UPPER, f"{IMAGE}/work", f"{IMAGE}/work/work", "/boot/efi"):
        files.require(directory, "directory")
    config = files.require(f"{UPPER}/opt/vyatta/etc/config", "directory")
    assert (config.mode, config.uid, config.gid) == (0o2775, 0, VYATTACFG)
    assert files.require(f"{UPPER}/opt/vyatta/etc/config/.vyatta_config", "file").gid == VYATTACFG


def test_directories_of_the_overlay_keep_the_squashfs_owner_and_mode(files: Ext4Files, opened: OpenedIso) -> None:
    members = opened.squashfs.members()
    for path, entry in files.below(UPPER).items():
        if entry.kind == "directory" and path in members and path != "/opt/vyatta/etc/config":
            member = members[path]
            assert (path, entry.mode, entry.uid, entry.gid) == (path, member.mode, member.uid, member.gid)


def test_the_default_login_of_every_iso_is_disarmed(files: Ext4Files, opened: OpenedIso) -> None:
    path = "/usr/share/vyos/config.boot.default"
    before = opened.squashfs.read(path).decode()
    after = files.read(UPPER + path).decode()
    assert passwords_in(before) == ["user vyos"]
    assert passwords_in(after) == []
    assert [line for line in after.splitlines() if "encrypted-password" not in line] == [
        line for line in before.splitlines() if "encrypted-password" not in line
    ]


def test_grub_reads_its_files_in_their_order(built: tuple[Path, BuiltDisk]) -> None:
    root = read_table(built[0]).partitions[2]
    listed = run(["debugfs", "-R", f"ls -p {CONFIG_DIRECTORY}", f"{built[0]}?offset={root.offset}"]).text
    names = [line.split("/")[5] for line in listed.splitlines() if line.endswith("/") or line.count("/") > 5]
    autoload = [name for name in names if name.endswith("-autoload.cfg")]
    assert autoload == sorted(autoload) != []


def test_every_inode_has_the_time_of_the_iso(built: tuple[Path, BuiltDisk], opened: OpenedIso) -> None:
    root = read_table(built[0]).partitions[2]
    for path in ("/", "/lost+found", "/persistence.conf", f"{UPPER}/opt", f"{IMAGE}/vmlinuz"):
        printed = run(["debugfs", "-R", f"stat {path}", f"{built[0]}?offset={root.offset}"]).text
        times = [line.split()[1] for line in printed.splitlines() if "time: 0x" in line]
        assert times == [f"{opened.epoch:#x}:00000000"] * 4


def test_modes_that_cannot_be_staged_are_set_all_the_same(opened: OpenedIso, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    overlay = Tree()
    overlay.add_directory("/etc", 0o751, uid=1, gid=2)
    overlay.add_file("/etc/un readable", tmp_path / "secret", 0o000, uid=3, gid=4)
    overlay.add_file("/etc/setuid", tmp_path / "secret", 0o4711)
    overlay.add_symlink("/etc/link", "un readable")
    files = files_of(native(opened, overlay, tmp_path))
    found = {path: (entry.mode, entry.uid, entry.gid) for path, entry in files.below(f"{UPPER}/etc").items()}
    assert found == {"/un readable": (0, 3, 4), "/setuid": (0o4711, 0, 0), "/link": (0o777, 0, 0)}
    assert files.read(f"{UPPER}/etc/un readable") == b"x\n"
    assert files.target(f"{UPPER}/etc/link") == "un readable"


def test_a_sparse_source_gives_the_same_disk_as_a_written_one(opened: OpenedIso, tmp_path: Path) -> None:
    disks = []
    for name, hole in (("hole", True), ("written", False)):
        (tmp_path / name).mkdir()
        source = tmp_path / name / "source"
        source.write_bytes(b"x" if hole else b"x" + bytes((1 << 20) - 1))
        os.truncate(source, 1 << 20)
        overlay = Tree()
        overlay.add_directory("/srv")
        overlay.add_file("/srv/file", source)
        disks.append(sha256_of_file(native(opened, overlay, tmp_path / name)))
    assert disks[0] == disks[1]


def test_a_file_without_its_directory_is_refused(opened: OpenedIso, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    overlay = Tree()
    overlay.add_file("/srv/file", tmp_path / "file")
    with pytest.raises(FileSystemFailed, match=r"the directory of .*/rw/srv/file is not in the tree"):
        native(opened, overlay, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


BUILD = """
import os, sys
from pathlib import Path
from hyops_assets.settings.build import BuildSettings
from hyops_assets.image.build import build_disk
from hyops_assets.image.overlay.lock import PackageLock
os.umask(int(sys.argv[1], 8))
iso, helper, lock, cache, out = (Path(word) for word in sys.argv[2:7])
(out / "scratch").mkdir()
built = build_disk(
    iso, release=sys.argv[7], settings=BuildSettings(disk_bytes=int(sys.argv[8])), helper=helper,
    lock=PackageLock.model_validate_json(lock.read_text()), cache=cache, destination=out / "disk.raw",
    scratch=out / "scratch",
)
print(built.disk.sha256)
"""


def rebuilt(
    workshop: Workshop, lock: PackageLock, out: Path, *, umask: str, user: str | None = None, **env: str
) -> str:
    """Build in a fresh process; as another user where one is given, with copies that this user can read."""
    for name, source in (("x.iso", workshop.iso.iso), ("cc_vyos.py", workshop.helper)):
        shutil.copyfile(source, out / name)
    (out / "lock.json").write_text(lock.model_dump_json())
    shutil.copytree(workshop.cache, out / "cache")
    as_user = []
    if user is not None:
        run(["chown", "-R", user, out])
        as_user = ["setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups"]
    inputs = [out / name for name in ("x.iso", "cc_vyos.py", "lock.json", "cache")]
    finished = subprocess.run(
        [*as_user, sys.executable, "-c", BUILD, umask, *inputs, out, RELEASE, str(DISK_BYTES)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(out), "PYTHONPATH": os.pathsep.join(sys.path), **env},
        cwd=out,
    )
    assert finished.returncode == 0, finished.stderr
    assert not list((out / "scratch").iterdir())
    return finished.stdout.strip()


def test_another_umask_locale_time_zone_and_directory_give_the_same_disk(
    workshop: Workshop, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    found = rebuilt(
        workshop, built[1].lock, tmp_path, umask="077", LANG="de_DE.UTF-8", LC_ALL="de_DE.UTF-8", TZ="Asia/Tokyo"
    )
    assert found == built[1].disk.sha256


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_builds_the_same_disk_as_root(workshop: Workshop, built: tuple[Path, BuiltDisk]) -> None:
    # Not below pytest's own directory, which only its user may enter.
    out = Path(run(["mktemp", "-d"]).text.strip())
    try:
        assert rebuilt(workshop, built[1].lock, out, umask="022", user="nobody") == built[1].disk.sha256
    finally:
        shutil.rmtree(out)


HOSTILE_HOME = {
    ".mtoolsrc": "mtools_lower_case=1\nmtools_no_vfat=1\nmtools_skip_check=0\n",
    ".xorrisorc": "-abort_on FATAL\n-osirrox off\n-uid 7\n",
    ".mke2fs.conf": "[defaults]\nblocksize = 1024\n",
    ".debugfsrc": "quit\n",
    ".config/qemu-img": "\n",
}
HOSTILE_CONFIGURATION = """
[defaults]
base_features = sparse_super2
blocksize = 1024
inode_size = 128
inode_ratio = 65536
reserved_ratio = 50.0
enable_periodic_fsck = 1
[fs_types]
ext4 = {
    features = bigalloc,casefold,encrypt,inline_data,orphan_file
    hash_alg = tea
}
"""


def test_configurations_of_the_user_and_of_mke2fs_change_nothing(
    workshop: Workshop, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    for name, text in HOSTILE_HOME.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "hostile.conf").write_text(HOSTILE_CONFIGURATION)
    found = rebuilt(
        workshop,
        built[1].lock,
        tmp_path,
        umask="022",
        MKE2FS_CONFIG=str(tmp_path / "hostile.conf"),
        MKE2FS_DEVICE_SECTSIZE="4096",
        E2FSCK_CONFIG=str(tmp_path / "hostile.conf"),
        E2FSPROGS_FAKE_TIME="1",
        SOURCE_DATE_EPOCH="1",
        MTOOLSRC=str(tmp_path / ".mtoolsrc"),
        MTOOLS_LOWER_CASE="1",
        MTOOLS_NO_VFAT="1",
        GRUB_CONFIG=str(tmp_path / ".debugfsrc"),
        XZ_OPT="-9",
    )
    assert found == built[1].disk.sha256


class Cancelled(Exception):
    """What a caller raises from `progress` to stop a build."""


def stages_of(opened: OpenedIso, directory: Path) -> list[str]:
    stages: dict[str, None] = {}

    def note(stage: str, _done: int, _total: int | None) -> None:
        stages[stage] = None

    native(opened, Tree(), directory, progress=note)
    (directory / "disk.raw").unlink()
    return list(stages)


def test_a_build_cancelled_at_any_stage_leaves_nothing_and_no_program(opened: OpenedIso, tmp_path: Path) -> None:
    stages = stages_of(opened, tmp_path)
    assert stages[:6] == [
        *("extract", "loaders", "root file system", "copy large files", "EFI file system", "boot code")
    ]
    for cancelled in stages:

        def cancel(stage: str, _done: int, _total: int | None, at: str = cancelled) -> None:
            if stage == at:
                raise Cancelled

        with pytest.raises(Cancelled):
            native(opened, Tree(), tmp_path, progress=cancel)
        assert list(tmp_path.iterdir()) == [], cancelled
        assert [link for link in Path("/proc").glob("[0-9]*/fd/*") if str(tmp_path) in target_of(link)] == []


def test_the_facts_tell_how_the_disk_was_made(built: tuple[Path, BuiltDisk], workshop: Workshop) -> None:
    result = built[1]
    assert result.facts["method"] == "native"
    assert result.facts["squashfs_sha256"] == result.squashfs_sha256
    assert result.helper_sha256 == sha256_of_file(workshop.helper)
    assert set(result.facts["milliseconds"]) == {"open iso", "packages", "overlay", "disk"}  # type: ignore[arg-type]
    tools = result.facts["tools"]
    assert isinstance(tools, dict)
    assert all(version != "unknown" for version in tools.values())


def test_a_disk_too_small_for_its_partitions_is_refused(opened: OpenedIso, tmp_path: Path) -> None:
    with pytest.raises(BadDisk, match="cannot be built"):
        native(opened, Tree(), tmp_path, disk_bytes=300 << 20)


def test_a_disk_too_small_for_its_files_is_refused(opened: OpenedIso, tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 30)
    overlay = Tree()
    overlay.add_file("/large", tmp_path / "large")
    with pytest.raises(BadDisk, match="do not fit on a disk of 512 MiB"):
        native(opened, overlay, tmp_path)


@pytest.mark.parametrize(("console", "unit"), [("ttyS0", "0"), ("ttyS1", "1"), ("tty0", "0"), ("tty1", "0")])
def test_the_menu_stands_on_the_serial_port_whatever_the_console(
    console: str, unit: str, opened: OpenedIso, tmp_path: Path
) -> None:
    disk = native(opened, Tree(), tmp_path, console=console, console_speed=9600, menu_timeout_seconds=0)
    kind, number = console[:-1], console[-1]
    settings = files_of(disk).read(f"{CONFIG_DIRECTORY}/20-vyos-defaults-autoload.cfg").decode().splitlines()
    for line in ('timeout="0"', f'console_type="{kind}"', f'console_num="{number}"', 'console_speed="9600"'):
        assert f"set {line}" in settings
    core = run(["mcopy", "-i", f"{disk}@@{read_table(disk).partitions[1].offset}", f"::/{REMOVABLE_LOADER}", "-"])
    assert f"serial --unit={unit} --speed=9600\nterminal_input --append serial\n".encode() in core.stdout


def test_an_unknown_console_is_refused(opened: OpenedIso, tmp_path: Path) -> None:
    with pytest.raises(GrubFailed, match="'hvc0' is no console"):
        native(opened, Tree(), tmp_path, console="hvc0")


@pytest.mark.parametrize("limit", [1 << 20, 12 << 20, 400 << 20])
def test_no_room_is_one_error_and_leaves_nothing(limit: int, opened: OpenedIso, tmp_path: Path) -> None:
    with file_size_limit(limit), pytest.raises(NoSpace, match="no space left at"):
        native(opened, Tree(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_file_system_is_one_error_and_leaves_the_earlier_disk(opened: OpenedIso, tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no right to mount a small file system")
    # In a mount namespace of its own: whatever happens, no mount is left.
    script = f'mount -t tmpfs -o size=20m none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    code = f"""
import sys
from pathlib import Path
from hyops_assets.image.intake.iso import IsoFacts, OpenedIso
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.space import NoSpace
from hyops_assets.image.squashfs import Squashfs
from hyops_assets.image.disk.tree import Tree
at = Path(sys.argv[1]); disk = at / "disk.raw"; disk.write_text("earlier")
opened = OpenedIso({RELEASE!r}, Squashfs(Path({str(opened.squashfs.path)!r})), "", IsoFacts.model_construct(), 1 << 30)
try:
    build_native(opened, Tree(), disk_bytes={DISK_BYTES}, console="ttyS0", destination=disk, scratch=at)
except NoSpace as error:
    print(error.message, [path.name for path in at.iterdir()], disk.read_text())
"""
    finished = subprocess.run(["unshare", "-m", "sh", "-c", script, code], capture_output=True, text=True)
    assert "no space left" in finished.stdout, finished.stderr
    assert finished.stdout.strip().endswith("['disk.raw'] earlier")


FASTEST = ("-Xcompression-level", "1")


def changed_squashfs(opened: OpenedIso, directory: Path, *commands: list[str]) -> OpenedIso:
    """Return the ISO with a squashfs that was changed by commands run in its root."""
    run(["unsquashfs", "-quiet", "-no-progress", "-d", directory / "root", opened.squashfs.path])
    for command in commands:
        subprocess.run(command, cwd=directory / "root", check=True)
    image = directory / "changed.squashfs"
    run(["mksquashfs", directory / "root", image, "-quiet", "-no-progress", "-all-root", "-comp", "zstd", *FASTEST])
    return OpenedIso(opened.release, Squashfs(image), hashlib.sha256().hexdigest(), opened.facts, opened.epoch)


@pytest.mark.parametrize(
    ("command", "error", "named"),
    [
        (["sh", "-c", "rm boot/vmlinuz*"], UnknownLayout, "no /boot/vmlinuz"),
        (["sh", "-c", ": > boot/initrd.img"], UnknownLayout, "/boot/initrd.img is empty"),
        (["rm", "usr/share/vyos/templates/grub/grub_menu.j2"], UnknownLayout, "lacks grub_menu.j2"),
        (["sh", "-c", "echo '{{' > usr/share/vyos/templates/grub/grub_main.j2"], GrubFailed, "cannot be filled"),
        (["sh", "-c", ": > usr/lib/python3/dist-packages/vyos/system/__init__.py"], GrubFailed, "SYSTEM_CFG_VER"),
        (["truncate", "-s", "511", "usr/lib/grub/i386-pc/boot.img"], GrubFailed, "511 bytes"),
        (["mkfifo", "usr/lib/grub/i386-pc/pipe"], BadSquashfs, "pipe is a fifo or a socket, which is never extracted"),
    ],
)
def test_an_iso_that_cannot_start_is_refused(
    command: list[str], error: type[Exception], named: str, opened: OpenedIso, tmp_path: Path
) -> None:
    changed = changed_squashfs(opened, tmp_path, command)
    with pytest.raises(error, match=named):
        native(changed, Tree(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changed.squashfs", "root"]


def test_a_template_reaches_nothing_but_its_text(opened: OpenedIso, tmp_path: Path) -> None:
    evil = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    changed = changed_squashfs(
        opened, tmp_path, ["sh", "-c", f'echo "{evil}" > usr/share/vyos/templates/grub/grub_main.j2']
    )
    with pytest.raises(GrubFailed, match="cannot be filled"):
        native(changed, Tree(), tmp_path)


def test_an_older_iso_is_disarmed_where_it_keeps_its_default(opened: OpenedIso, tmp_path: Path) -> None:
    older = "opt/vyatta/etc/config.boot.default"
    changed = changed_squashfs(opened, tmp_path, ["mv", "usr/share/vyos/config.boot.default", older])
    files = files_of(native(changed, Tree(), tmp_path))
    assert passwords_in(files.read(f"{UPPER}/{older}").decode()) == []


def copied(disk: Path, directory: Path) -> Path:
    copy = directory / disk.name
    run(["cp", "--sparse=auto", disk, copy])
    copy.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return copy


def test_a_killed_build_leaves_no_program_and_the_next_one_goes_through(
    workshop: Workshop, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    (tmp_path / "lock.json").write_text(built[1].lock.model_dump_json())
    inputs = [workshop.iso.iso, workshop.helper, tmp_path / "lock.json", workshop.cache, tmp_path]
    argv = [sys.executable, "-c", BUILD, "022", *inputs, RELEASE, str(DISK_BYTES)]
    partial = tmp_path / "disk.raw.partial"
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as build:
        while not partial.exists() or partial.stat().st_blocks * 512 < 4 << 20:
            assert build.poll() is None
        build.kill()
    assert not (tmp_path / "disk.raw").exists()
    (tmp_path / "again").mkdir()
    again = workshop.build(tmp_path / "disk.raw", tmp_path / "again", lock=built[1].lock)
    assert again.disk == built[1].disk == Disk(size_bytes=DISK_BYTES, sha256=sha256_of_file(tmp_path / "disk.raw"))
    assert not partial.exists()
    opened_by = [link for link in Path("/proc").glob("[0-9]*/fd/*") if str(tmp_path) in target_of(link)]
    assert opened_by == []


def target_of(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - of a process that may be gone
    except OSError:
        return ""


def test_a_name_that_debugfs_cannot_quote_is_reported(opened: OpenedIso, tmp_path: Path) -> None:
    overlay = Tree()
    overlay.add_directory("/srv")
    # Past the tree's own refusal: debugfs itself would print a complaint and exit 0.
    overlay.nodes['/srv/a"b c'] = overlay.nodes["/srv"]
    with pytest.raises(FileSystemFailed, match="debugfs could not do"):
        native(opened, overlay, tmp_path)
