"""copy: whole chains into another archive, never a backup that is listed and not whole."""
import json
import os
import signal

import golden
import pytest
import seawall_harness as harness
from s3_harness import S3Archive, double_archive

FIRST, DELTA, LAST = ("base_000000010000000000000002", "base_000000010000000000000004_D_000000010000000000000002",
                      "base_000000010000000000000006")
LABEL = ".00000028.backup.lz4"


def folder(name):
    top = f"basebackups_005/{name}"
    return [f"{top}/files_metadata.json", f"{top}/metadata.json", f"{top}/tar_partitions/backup_label.tar.lz4",
            f"{top}/tar_partitions/part_001.tar.lz4", f"{top}/tar_partitions/pg_control.tar.lz4",
            f"{top}_backup_stop_sentinel.json"]


def wal(*numbers):
    return [f"wal_005/00000001{number:016X}{end}" for number in numbers for end in (LABEL, ".lz4")]


@pytest.fixture
def source(scratch, session_directory):
    """Three backups, one of them a delta, of a cluster with segments of 16 MiB, made by WAL-G."""
    unpacked = harness.mkdir(session_directory / "copy-16m")
    if not (unpacked / "archive").exists():
        golden.unpack("copy-16m", unpacked)
    return golden.CaseArchive(scratch, "copy-16m", unpacked / "archive")


@pytest.fixture
def target(scratch):
    return scratch.archive(name="copy")


def settings_file(scratch, archive, name):
    path = scratch.path / f"{name}.json"
    path.write_text(json.dumps({key: value for key, value in archive.settings.items() if value is not None}))
    return harness.give(path)


def arguments(scratch, source, target, *more):
    return ["copy", "-f", settings_file(scratch, source, "from"), "-t", settings_file(scratch, target, "to"), *more]


def copied(archive):
    """What a copy brought, without what says whose archive it is."""
    return [key for key in archive.keys() if not key.startswith("seawall_005/")]


CASES = {
    "first": (["-b", FIRST], [*folder(FIRST), *wal(2)]),
    "delta": (["-b", DELTA], [*folder(FIRST), *folder(DELTA), *wal(2), *wal(4)]),
    "latest": (["-b", "LATEST"], [*folder(LAST), *wal(6)]),
    "all": ([], [*folder(FIRST), *folder(DELTA), *folder(LAST), *wal(2), *wal(4), *wal(6)]),
    "history": (["-b", DELTA, "-w"], [*folder(FIRST), *folder(DELTA), *wal(2), *wal(4), *wal(6), *[
        f"wal_005/0000000100000000000000{number:02X}.lz4" for number in (5, 7, 8)]]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_copied(scratch, source, target, case):
    flags, wanted = CASES[case]
    result = target.ok(*arguments(scratch, source, target, *flags))
    assert "Success copy." in result.err
    assert copied(target) == sorted(wanted)
    for key in wanted:
        assert (target.root / key).read_bytes() == (source.root / key).read_bytes(), key
    before = target.stamps()
    again = target.ok(*arguments(scratch, source, target, *flags))
    assert "0 objects (0 B) were copied" in again.err
    assert target.stamps() == before


def test_what_was_copied_restores(scratch, source, target):
    target.ok(*arguments(scratch, source, target, "-b", DELTA))
    restored = scratch.cluster(target, empty=True)
    target.ok("backup-fetch", restored.data, DELTA, WALG_PG_WAL_SIZE="16")
    assert (restored.data / "backup_label").exists()
    here = target.ok("backup-list", "--json", "--detail").json()
    there = {each["backup_name"]: each for each in source.ok("backup-list", "--json", "--detail").json()}
    assert [each["backup_name"] for each in here] == [FIRST, DELTA]
    for each in here:
        assert each["start_lsn"] == there[each["backup_name"]]["start_lsn"]


def test_conflicts_are_found_before_anything_is_written(scratch, source, target):
    target.ok(*arguments(scratch, source, target, "-b", FIRST))
    for key, change in ((wal(2)[0], lambda raw: raw + b"xx"), (folder(FIRST)[3], lambda raw: raw[:-1]),
                        (folder(FIRST)[5], lambda raw: raw.replace(b"pg-golden", b"pg-silver"))):
        path = target.root / key
        good = path.read_bytes()
        path.write_bytes(change(good))
        before = target.contents()
        target.fails(*arguments(scratch, source, target), says=[FIRST if "base" in key else key])
        assert target.contents() == before
        path.write_bytes(good)
    # Of the same size: found when it is met.
    path = target.root / "wal_005/000000010000000000000002.lz4"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    target.fails(*arguments(scratch, source, target, "-b", FIRST), says="another content")
    assert path.read_bytes() == raw


def test_a_mark_made_later_is_brought_along(scratch, source, target):
    target.ok(*arguments(scratch, source, target, "-b", FIRST))
    path = source.root / folder(FIRST)[1]
    path.write_text(path.read_text().replace('"is_permanent":false', '"is_permanent":true'))
    target.ok(*arguments(scratch, source, target, "-b", FIRST))
    assert (target.root / folder(FIRST)[1]).read_bytes() == path.read_bytes()


def test_what_is_missing_is_named_and_nothing_written(scratch, source, target):
    (source.root / "wal_005/000000010000000000000004.lz4").unlink()
    target.fails(*arguments(scratch, source, target, "-b", FIRST, "-w"), says=["gap", "000000010000000000000004"])
    target.fails(*arguments(scratch, source, target), says=[DELTA, "000000010000000000000004", "missing"])
    (source.root / folder(FIRST)[5]).unlink()
    target.fails(*arguments(scratch, source, target, "-b", DELTA), says=[FIRST, "stands on"])
    target.fails(*arguments(scratch, source, target, "-b", "base_0000000100000000000000FF"), says="does not exist")
    target.fails("copy", "-f", "nowhere.json", "-t", "nowhere.json", says="nowhere.json")
    target.fails("copy", says="--from")
    target.fails(*arguments(scratch, source, source), says="same archive")
    assert target.keys() == []


def test_another_clusters_archive_is_refused(scratch, source, target):
    (target.root / "seawall_005").mkdir()
    (target.root / "seawall_005/identity.json").write_text('{"version":1,"system_identifier":42}\n')
    target.fails(*arguments(scratch, source, target), says=["42"])
    assert copied(target) == []


def own_archive(scratch, archive):
    """A backup of this program, whose digests are known, and some WAL."""
    cluster = scratch.cluster(archive)
    cluster.start()
    cluster.pgbench("-i", "-q", "-s", 1)
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    cluster.stop()
    return cluster


def wanted_of(archive):
    """What a copy of everything brings: no WAL from before the backup."""
    start = archive.backups()[0].removeprefix("base_")
    return {key: archive.read(key) if hasattr(archive, "bucket") else (archive.root / key).read_bytes() for key in copied(archive)
            if key.startswith("base") or key.split("/")[1] >= start}


def test_a_part_that_was_damaged_is_not_copied(scratch, archive, target):
    own_archive(scratch, archive)
    part = max(archive.keys("basebackups_005"), key=lambda key: (archive.root / key).stat().st_size)
    raw = bytearray((archive.root / part).read_bytes())
    raw[len(raw) // 2] ^= 1
    (archive.root / part).write_bytes(raw)
    target.fails(*arguments(scratch, archive, target), says=[part, "digest"])
    assert part not in target.keys() and target.backups() == []


def test_a_copy_that_was_killed_is_continued(scratch, archive, double):
    own_archive(scratch, archive)
    target = double_archive(scratch, double)
    whole = len(wanted_of(archive))
    for after in (1, 2, 4, 6):
        puts = double.count("PutObject")

        def enough():
            return double.count("PutObject") >= puts + after or len(copied(target)) == whole
        running = target.start(*arguments(scratch, archive, target, "-w"))
        harness.wait_until(lambda: enough() or not running.running(), what="some objects in the copy", every=0.001)
        running.signal(signal.SIGKILL)
        running.process.wait()
        for name in target.backups():
            assert sum(key.startswith(f"basebackups_005/{name}/") for key in target.keys()) == sum(
                key.startswith(f"basebackups_005/{name}/") for key in archive.keys()), "a sentinel without its backup"
    target.ok(*arguments(scratch, archive, target, "-w"))
    assert {key: target.read(key) for key in copied(target)} == wanted_of(archive)


def test_within_a_bucket_the_store_copies(scratch, double):
    source = double_archive(scratch, double)
    own_archive(scratch, source)
    target = S3Archive(scratch, source.server, "bucket", prefix="other/place", segment_mib=1)
    before = double.count("GetObject")
    target.ok(*arguments(scratch, source, target, "-w"))
    assert {key: target.read(key) for key in copied(target)} == wanted_of(source)
    assert double.count("CopyObject") == len(copied(target))
    assert double.count("GetObject") - before < 20, "objects came through here"


def test_only_the_files_count(scratch, source, target):
    """Settings of the environment are for other commands."""
    result = source.run(*arguments(scratch, source, target, "-b", FIRST), WALG_STORAGE_PREFIX="elsewhere",
                        WALG_FILE_PREFIX=os.devnull)
    assert result.code == 0, result
    assert copied(target) == sorted(CASES["first"][1])
    moved = scratch.archive(name="moved", WALG_STORAGE_PREFIX="deep/er")
    source.ok(*arguments(scratch, source, moved, "-b", FIRST))
    assert copied(moved) == sorted("deep/er/" + key for key in [*CASES["first"][1], "seawall_005/identity.json"])
