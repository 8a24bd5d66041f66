"""wal-push with files of real servers: what is stored, what is refused, and that nothing stored is harmed."""
import os
import re
import signal
import struct
import time

import pytest
from seawall_harness import MIB, SLOW, give, mkdir, wait_until


@pytest.fixture
def segments(scratch):
    """A stopped cluster that never archived, and its first finished segments, oldest first."""
    archive = scratch.archive()
    cluster = scratch.cluster(archive)
    cluster.configure(archive_command="", wal_keep_size="100MB")
    cluster.start()
    names = [cluster.switch_wal() for _ in range(4)]
    cluster.stop()
    cluster.finished = names
    return cluster


def path_of(cluster, name):
    return cluster.segment_file(name)


def damaged_copy(cluster, name, change):
    """A directory beside the cluster with one segment that `change` was done to."""
    directory = give(mkdir(cluster.home / "damaged/pg_wal"))
    raw = bytearray(path_of(cluster, name).read_bytes())
    changed = change(raw)
    path = directory / name
    path.write_bytes(raw if changed is None else changed)
    return give(path)


def test_stored_is_what_was_pushed_and_pushing_again_succeeds(scratch, segments):
    archive, name = segments.archive, segments.finished[0]
    archive.ok("wal-push", path_of(segments, name))
    assert archive.keys("wal_005")[0] == f"wal_005/{name}.lz4"
    stored = archive.contents()
    archive.ok("wal-push", path_of(segments, name), TOTAL_BG_UPLOADED_LIMIT=1)
    archive.ok("wal-push", path_of(segments, name), WALG_COMPRESSION_METHOD="none", TOTAL_BG_UPLOADED_LIMIT=1)
    assert {key: stored[key] for key in stored} == archive.contents(), "an identical segment is stored once"
    out = scratch.path / "back"
    archive.ok("wal-fetch", name, out, WALG_DOWNLOAD_CONCURRENCY=1)
    assert out.read_bytes() == path_of(segments, name).read_bytes()


def test_another_segment_under_a_stored_name_is_refused_with_both_digests(segments):
    archive, name = segments.archive, segments.finished[0]
    archive.ok("wal-push", path_of(segments, name), TOTAL_BG_UPLOADED_LIMIT=1)
    stored = archive.contents()

    def change(raw):
        raw[5000] ^= 0xFF
    other = damaged_copy(segments, name, change)
    for method in ("lz4", "none"):
        result = archive.fails("wal-push", other, says=[name], WALG_COMPRESSION_METHOD=method)
        assert len(set(re.findall(r"\b[0-9a-f]{16,64}\b", result.err))) >= 2, result
    assert archive.contents() == stored


def test_a_foreign_cluster_is_refused(scratch, segments):
    archive = segments.archive
    archive.ok("wal-push", path_of(segments, segments.finished[0]))
    stored = archive.contents()
    other = scratch.cluster(None, fresh=True)
    other.configure(archive_command="", archive_mode="on", wal_keep_size="100MB")
    other.start()
    names = [other.switch_wal() for _ in range(8)]
    other.stop()
    assert names[-1] > segments.finished[-1]
    archive.fails("wal-push", path_of(other, names[-1]), says="system identifier")
    # A segment of another cluster in this one's directory is no better.
    lost = segments.segment_file(names[-1])
    lost.write_bytes(path_of(other, names[-1]).read_bytes())
    give(lost)
    archive.fails("wal-push", lost, says="system identifier")
    assert archive.contents() == stored


def header(raw, magic=None, timeline=None, address=None):
    if magic is not None:
        struct.pack_into("<H", raw, 0, magic)
    if timeline is not None:
        struct.pack_into("<I", raw, 4, timeline)
    if address is not None:
        struct.pack_into("<Q", raw, 8, address)


def torn(raw):
    raw[MIB // 2:MIB // 2 + 16] = bytes(range(1, 17))


BAD = {
    "empty": (lambda raw: b"", "empty"),
    "short": (lambda raw: bytes(raw[:MIB // 2]), "bytes"),
    "cut off by a page": (lambda raw: bytes(raw[:MIB - 8192]), "bytes"),
    "all zeros": (lambda raw: bytes(MIB), "zeros"),
    "no WAL": (lambda raw: header(raw, magic=0x1234), "magic"),
    "PostgreSQL 9.6": (lambda raw: header(raw, magic=0xD093), "postgresql"),
    "another address": (lambda raw: header(raw, address=0x7700000), "0/7700000"),
    "a younger timeline": (lambda raw: header(raw, timeline=7), "timeline"),
    "torn": (torn, "torn"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_segment(segments, what):
    archive, name = segments.archive, segments.finished[1]
    change, words = BAD[what]
    bad = damaged_copy(segments, name, change)
    archive.fails("wal-push", bad, says=[name, words])
    assert archive.wal() == []


def test_a_newer_postgresql_is_warned_about_and_stored(segments):
    archive, name = segments.archive, segments.finished[1]

    def newer(raw):
        for page in range(0, len(raw), 8192):
            if not any(raw[page:page + 16]):
                break  # the rest of the segment was never written
            struct.pack_into("<H", raw, page, 0xD1FF)
    result = archive.ok("wal-push", damaged_copy(segments, name, newer))
    assert "newer" in result.err
    assert archive.wal() == [name]


@pytest.mark.parametrize("name", ["README", "00000001000000000000000", "0000000100000000000001000", "00000001.histor",
                                  "00000001000000000000000Z", "000000010000000000000001.00000028.backup.gz"])
def test_bad_name(segments, name):
    directory = give(mkdir(segments.home / "odd"))
    path = directory / name
    path.write_bytes(path_of(segments, segments.finished[0]).read_bytes())
    segments.archive.fails("wal-push", give(path), says=name)
    assert segments.archive.keys() == []


def test_missing_and_unreadable_files(segments):
    archive, name = segments.archive, segments.finished[0]
    archive.fails("wal-push", segments.home / name, says=name)
    archive.fails("wal-push", says="wal")
    path = path_of(segments, name)
    path.chmod(0)
    try:
        archive.fails("wal-push", path, says=[name, "permission denied"])
    finally:
        path.chmod(0o600)
    assert archive.wal() == []


def test_history_backup_and_partial_files(scratch, segments):
    archive, name = segments.archive, segments.finished[0]
    directory = give(mkdir(segments.home / "other"))
    files = {"00000002.history": b"1\t0/300000\tno recovery target specified\n",
             f"{name}.00000028.backup": b"START WAL LOCATION: 0/100028 (file " + name.encode() + b")\nCHECKPOINT LOCATION: 0/100060\n",
             f"{name}.partial": path_of(segments, name).read_bytes()}
    for file, content in files.items():
        path = directory / file
        path.write_bytes(content)
        archive.ok("wal-push", give(path))
        out = scratch.path / "out"
        archive.ok("wal-fetch", file, out)
        assert out.read_bytes() == content
        out.unlink()
    assert sorted(key.removeprefix("wal_005/") for key in archive.keys("wal_005")) == sorted(f"{file}.lz4" for file in files)
    stored = archive.contents()
    (directory / "00000002.history").write_bytes(b"1\t0/400000\tanother promotion\n")
    archive.fails("wal-push", directory / "00000002.history", says="00000002.history")
    (directory / "00000003.history").write_bytes(b"not a history\n")
    archive.fails("wal-push", give(directory / "00000003.history"), says="00000003.history")
    assert archive.contents() == stored


def backlog(scratch, count, **settings):
    """A cluster with `count` segments that wait for being archived, stopped so that nobody else archives them."""
    archive = scratch.archive(**settings)
    cluster = scratch.cluster(archive)
    cluster.configure(archive_command="")
    cluster.start()
    names = [cluster.switch_wal() for _ in range(count)]
    cluster.stop()
    return archive, cluster, names


def ready(cluster):
    return sorted(path.name.removesuffix(".ready") for path in (cluster.data / "pg_wal/archive_status").glob("*.ready"))


def test_neighbours_are_archived_ahead(scratch):
    archive, cluster, names = backlog(scratch, 12)
    waiting = ready(cluster)
    assert waiting[:12] == names[:12]
    archive.ok("wal-push", cluster.segment_file(names[0]), PGDATA=cluster.data)
    assert set(waiting) == set(archive.wal())
    assert ready(cluster) == waiting, "only PostgreSQL renames the marks"
    stored = archive.contents()
    for name in waiting[1:]:
        archive.ok("wal-push", cluster.segment_file(name), PGDATA=cluster.data)
    assert archive.contents() == stored


@pytest.mark.parametrize("limit,stored", [(1, 1), (5, 5), (32, 12)])
def test_limit_of_neighbours(scratch, limit, stored):
    archive, cluster, names = backlog(scratch, 12)
    for name in ready(cluster)[12:]:
        (cluster.data / f"pg_wal/archive_status/{name}.ready").unlink()
    archive.ok("wal-push", cluster.segment_file(names[0]), TOTAL_BG_UPLOADED_LIMIT=limit)
    assert archive.wal() == names[:stored]


def test_ready_marks_are_renamed_on_request(scratch):
    archive, cluster, names = backlog(scratch, 6)
    archive.ok("wal-push", cluster.segment_file(names[0]), PG_READY_RENAME="true")
    assert ready(cluster) == [names[0]], "the mark of the file that PostgreSQL asked for is PostgreSQL's"
    done = sorted(path.name for path in (cluster.data / "pg_wal/archive_status").glob("*.done"))
    assert set(f"{name}.done" for name in names[1:]) <= set(done)


def test_a_receipt_holds_only_for_the_same_bytes(scratch):
    """A file that changed after it was archived ahead must not be acknowledged."""
    archive, cluster, names = backlog(scratch, 3)
    archive.ok("wal-push", cluster.segment_file(names[0]))
    path = cluster.segment_file(names[1])
    raw = bytearray(path.read_bytes())
    raw[9000] ^= 1
    path.write_bytes(raw)
    archive.fails("wal-push", path, says=names[1])


def test_a_backlog_drains_while_the_server_runs(scratch):
    archive, cluster, names = backlog(scratch, 40)
    cluster.configure(archive_command=cluster.archive_command())
    before = len(cluster.log_text())
    cluster.start()
    wait_until(lambda: set(names) <= set(archive.wal()), 60, "the backlog in the archive")
    wait_until(lambda: not set(names) & set(ready(cluster)), 60, "the acknowledgement of the backlog")
    assert "archive command failed" not in cluster.log_text()[before:]


def test_first_segments_after_a_promotion_archive(scratch, archive, major):
    """The first segment of a new timeline is a copy that begins with the old one's WAL."""
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    cluster.sql("create table t as select 1 as n")
    cluster.stop()
    restored = scratch.restored(archive, major=major)
    restored.recovery(restore_command=restored.restore_command())
    restored.configure(archive_command=restored.archive_command())
    restored.start()
    restored.wait_promoted()
    restored.sql("create table u as select 2 as n")
    name = restored.archive_all()
    assert name.startswith("00000002")
    wait_until(lambda: "00000002.history.lz4" in archive.wal(), 30, "the history in the archive")
    assert restored.sql("select failed_count from pg_stat_archiver") == "0", restored.log_text()[-3000:]


def test_sigterm_leaves_nothing_half_written(scratch, segments):
    archive, name = segments.archive, segments.finished[0]
    running = archive.start("wal-push", path_of(segments, name), WALG_NETWORK_RATE_LIMIT=50000,
                            WALG_COMPRESSION_METHOD="none", TOTAL_BG_UPLOADED_LIMIT=1)
    time.sleep(0.3 * SLOW)
    running.signal(signal.SIGTERM)
    result = running.wait(30)
    assert result.code == -signal.SIGTERM, result
    assert archive.keys("wal_005") == [], result
    archive.ok("wal-push", path_of(segments, name), TOTAL_BG_UPLOADED_LIMIT=1)
    out = scratch.path / "out"
    archive.ok("wal-fetch", name, out, WALG_DOWNLOAD_CONCURRENCY=1)
    assert out.read_bytes() == path_of(segments, name).read_bytes()


@pytest.mark.once
def test_no_space_left_in_the_archive(scratch, segments, small_disk):
    archive = segments.archive
    disk = small_disk(2)
    archive.settings["WALG_FILE_PREFIX"] = str(disk)
    archive.root = disk
    filler = disk / "filler"
    filler.write_bytes(os.urandom(MIB * 2 - 64 * 1024))
    give(filler)
    alone = {"WALG_COMPRESSION_METHOD": "none", "TOTAL_BG_UPLOADED_LIMIT": 1}
    archive.fails("wal-push", path_of(segments, segments.finished[0]), says="space", **alone)
    assert archive.keys("wal_005") == [], "what did not fit is not there by its name, nor its remains"
    filler.unlink()
    archive.ok("wal-push", path_of(segments, segments.finished[0]), **alone)
