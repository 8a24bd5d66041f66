"""wal-fetch as restore_command: what PostgreSQL is told, and that recovery never ends early because storage failed."""
import os
import signal
import time

import pytest
from seawall_harness import MIB, SLOW, give, mkdir, touch, wait_until


@pytest.fixture
def stored(scratch, cluster):
    """Ten consecutive segments in the archive."""
    names = [cluster.switch_wal() for _ in range(10)]
    cluster.wait_archived(names[-1])
    cluster.stop()
    cluster.names = names
    return cluster


def test_missing_is_74_and_writes_nothing(scratch, archive):
    out = scratch.path / "out"
    for name in ("0000000100000000000000FF", "00000007.history", "0000000100000000000000FF.00000028.backup"):
        result = archive.run("wal-fetch", name, out)
        assert result.code == 74, result
    assert not out.exists() and list(scratch.path.glob("out*")) == [] and list(scratch.path.glob(".wal-g/prefetch/*")) == []
    assert archive.keys() == []


def unusable(archive):
    """The store as it looks when its volume is gone."""
    hidden = archive.root.with_name("hidden")
    archive.root.rename(hidden)
    return lambda: hidden.rename(archive.root)


@pytest.mark.parametrize("mark,code", [(None, 126), ("standby.signal", 1), ("recovery.conf", 1), ("recovery.signal", 126)])
def test_a_failing_store_stops_recovery_but_not_a_standby(scratch, archive, stored, mark, code):
    directory = give(mkdir(scratch.path / "data"))
    if mark:
        path = give(touch(directory / mark))
        path.write_text("standby_mode = on\n" if mark == "recovery.conf" else "")
    back = unusable(archive)
    try:
        result = archive.run("wal-fetch", stored.names[0], "pg_wal_file", cwd=directory)
    finally:
        back()
    assert result.code == code, result
    assert not (directory / "pg_wal_file").exists()


def test_the_status_of_a_failure_can_be_set(scratch, archive, stored):
    back = unusable(archive)
    try:
        result = archive.run("wal-fetch", stored.names[0], scratch.path / "out", SEAWALL_WAL_FETCH_FAILURE_STATUS=200)
    finally:
        back()
    assert result.code == 200, result


def test_ended_by_sigterm_it_dies_by_sigterm(scratch, archive, stored):
    plain = scratch.archive(name="plain", WALG_COMPRESSION_METHOD="none")
    plain.ok("wal-push", stored.segment_file(stored.names[-1]), TOTAL_BG_UPLOADED_LIMIT=1)
    running = plain.start("wal-fetch", stored.names[-1], scratch.path / "out", WALG_NETWORK_RATE_LIMIT=50000,
                          WALG_DOWNLOAD_CONCURRENCY=1)
    time.sleep(0.4 * SLOW)
    assert running.running(), running.wait()
    running.signal(signal.SIGTERM)
    result = running.wait(30)
    assert result.code == -signal.SIGTERM, result
    assert not (scratch.path / "out").exists() and list(scratch.path.glob("out.*")) == []


def test_a_file_that_is_there_is_not_overwritten(scratch, archive, stored):
    out = scratch.path / "out"
    out.write_text("mine")
    give(out)
    result = archive.run("wal-fetch", stored.names[0], out)
    assert result.code != 0 and result.code != 74, result
    assert out.read_text() == "mine"


def test_bad_arguments(scratch, archive, stored):
    archive.fails("wal-fetch", says="wal")
    archive.fails("wal-fetch", stored.names[0], says="destination")
    result = archive.run("wal-fetch", stored.names[0], scratch.path / "nowhere/x")
    assert result.code not in (0, 74), result


def test_segments_are_fetched_ahead_and_used(scratch, archive, stored):
    directory = give(mkdir(scratch.path / "pg_wal"))
    archive.ok("wal-fetch", stored.names[0], directory / "RECOVERYXLOG", WALG_DOWNLOAD_CONCURRENCY=4)
    prefetch = directory / ".wal-g/prefetch"
    wait_until(lambda: {path.name for path in prefetch.glob("0*")} >= set(stored.names[1:5]), 30, "segments fetched ahead")
    assert (directory / "RECOVERYXLOG").stat().st_size == MIB
    (directory / "RECOVERYXLOG").unlink()
    kept = (prefetch / stored.names[1]).read_bytes()
    assert len(kept) == MIB
    stored_object(archive, stored.names[1]).chmod(0)  # so what comes is what was fetched ahead
    archive.ok("wal-fetch", stored.names[1], directory / "RECOVERYXLOG", WALG_DOWNLOAD_CONCURRENCY=1)
    assert (directory / "RECOVERYXLOG").read_bytes() == kept
    assert not (prefetch / stored.names[1]).exists()


def test_a_damaged_prefetched_file_is_not_handed_over(scratch, archive, stored):
    directory = give(mkdir(scratch.path / "pg_wal"))
    prefetch = mkdir(directory / ".wal-g/prefetch")
    for path in (directory / ".wal-g", prefetch):
        give(path)
    give(touch(prefetch / stored.names[2])).write_bytes(b"\0" * MIB)
    archive.ok("wal-fetch", stored.names[2], directory / "RECOVERYXLOG", WALG_DOWNLOAD_CONCURRENCY=1)
    raw = (directory / "RECOVERYXLOG").read_bytes()
    assert raw[:2] != b"\0\0" and len(raw) == MIB


def test_prefetch_directory_can_be_set(scratch, archive, stored):
    elsewhere = give(mkdir(scratch.path / "elsewhere"))
    archive.ok("wal-fetch", stored.names[0], scratch.path / "out", WALG_DOWNLOAD_CONCURRENCY=3, WALG_PREFETCH_DIR=elsewhere)
    wait_until(lambda: list(elsewhere.glob(".wal-g/prefetch/0*")), 30, "segments fetched ahead")
    assert not (scratch.path / ".wal-g").exists()


def prepared(scratch, archive, major):
    """A restored cluster that has many segments to recover, and what it must hold afterwards."""
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table t(n int)")
    names = []
    for n in range(6):
        cluster.sql(f"insert into t select {n} from generate_series(1, 1000)")
        names.append(cluster.switch_wal())
    digest = cluster.digest()
    cluster.sql("select pg_create_restore_point('good')")
    names.append(cluster.switch_wal())
    cluster.wait_archived(names[-1])
    cluster.stop()
    return scratch.restored(archive, major=major), names, digest


def stored_object(archive, name):
    return archive.root / f"wal_005/{name}.lz4"


def gone(archive, _victim):
    return unusable(archive)


def unreadable(_archive, victim):
    victim.chmod(0)
    return lambda: victim.chmod(0o644)


def damaged(_archive, victim):
    good = victim.read_bytes()
    victim.write_bytes(good[:100] + b"DAMAGE!!" + good[108:])
    return lambda: victim.write_bytes(good)


@pytest.mark.parametrize("failure", [gone, unreadable, damaged], ids=lambda failure: failure.__name__)
@pytest.mark.parametrize("target", [None, "good"])
def test_recovery_never_ends_early(scratch, archive, major, failure, target):
    """A segment in the middle cannot be read: the server must stop, not open with what it has."""
    restored, names, digest = prepared(scratch, archive, major)
    well_again = failure(archive, stored_object(archive, names[3]))
    restored.recovery(restore_command=restored.restore_command(WALG_DOWNLOAD_CONCURRENCY=2),
                      **({"recovery_target_name": target} if target else {}))
    restored.start(wait=False, check=False, archive_mode="off")
    wait_until(lambda: "could not restore file" in restored.log_text(), 60, "the failure of restore_command")
    wait_until(lambda: not restored.alive(), 60, "the end of the server")
    assert "selected new timeline" not in restored.log_text(), restored.log_text()[-3000:]
    assert not list((restored.data / "pg_wal").glob("00000002*"))
    assert failure is gone or names[2] in restored.log_text()
    well_again()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_a_standby_survives_an_outage_and_goes_on(scratch, archive, major):
    restored, names, digest = prepared(scratch, archive, major)
    victim = stored_object(archive, names[3])
    victim.chmod(0)
    restored.recovery(standby=True, restore_command=restored.restore_command(WALG_DOWNLOAD_CONCURRENCY=2))
    if major < 12:
        restored.configure("recovery.conf", trigger_file=restored.home / "trigger")
    restored.start(archive_mode="off", wal_retrieve_retry_interval="200ms")
    time.sleep(2 * SLOW)
    assert restored.alive() and restored.in_recovery() == "t", restored.log_text()[-3000:]
    rows = int(restored.sql("select count(*) from t"))
    assert rows < 6000
    victim.chmod(0o644)
    wait_until(lambda: restored.sql("select count(*) from t") == "6000", 60, "the rest of the WAL")
    if major < 12:
        give(touch(restored.home / "trigger"))
    else:
        restored.pg_ctl("-w", "promote")
    restored.wait_promoted()
    assert restored.digest() == digest


@pytest.mark.once
def test_no_space_left_for_the_segment(scratch, archive, stored, small_disk):
    disk = small_disk(1)
    give(touch(disk / "filler")).write_bytes(os.urandom(MIB // 2))
    result = archive.run("wal-fetch", stored.names[0], disk / "RECOVERYXLOG", WALG_DOWNLOAD_CONCURRENCY=1)
    assert result.code == 126 and "space" in result.err.lower(), result
    assert [path.name for path in disk.iterdir()] == ["filler"], "the remains of what did not fit"
