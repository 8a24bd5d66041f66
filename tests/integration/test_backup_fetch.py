"""backup-fetch: where it restores to, what it refuses, which recovery settings it writes."""
import json
import os
import re
import time

import pytest
from seawall_harness import MIB, SLOW, give, mkdir, touch, tree, wait_until


@pytest.fixture
def stored(archive, cluster):
    """A cluster with one backup, stopped."""
    cluster.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g; checkpoint")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    cluster.stop()
    return cluster


def test_restored_is_what_was_backed_up(scratch, archive, stored):
    target = scratch.path / "deep/er/data"
    archive.ok("backup-fetch", target, "LATEST")
    have, had = tree(target), tree(stored.data)
    changed = {"postmaster.pid", "global/pg_control", "backup_label", "tablespace_map"}
    name, = archive.backups()
    files = json.loads((archive.root / f"basebackups_005/{name}/files_metadata.json").read_text())["Files"]
    same = 0
    for key in files:
        relative = key.lstrip("/")
        if not relative or relative in changed:
            continue
        assert relative in have, f"{relative} was not restored"
        if had.get(relative) == have[relative]:
            same += 1
    assert same > len(files) * 0.9, "checkpoints since may have changed a few"
    assert set(have) - {key.lstrip("/") for key in files} <= {"backup_label", "tablespace_map", "global/pg_control"}
    assert oct(target.stat().st_mode & 0o777) == "0o700"
    assert "START WAL LOCATION" in (target / "backup_label").read_text()
    assert not (target / "postmaster.pid").exists()
    assert list((target / "pg_wal").iterdir()) == [] and list((target / "pg_replslot").iterdir()) == []


def test_owner_and_mode_come_back(scratch, archive, stored):
    name = scratch.path / "data"
    archive.ok("backup-fetch", name, archive.backups()[0])
    for file in ("PG_VERSION", "postgresql.conf", "base/1/1259", "global", "global/pg_control"):
        before, after = (stored.data / file).stat(), (name / file).stat()
        assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid), file


def test_a_running_cluster_is_refused(archive, cluster):
    archive.ok("backup-push", cluster.data, **cluster.connection())
    before = (cluster.data / "PG_VERSION").stat()
    archive.fails("backup-fetch", cluster.data, "LATEST", says=["server", str(cluster.data)])
    assert (cluster.data / "PG_VERSION").stat() == before
    assert cluster.sql("select 1") == "1"


def test_a_directory_that_holds_something_is_refused(scratch, archive, stored):
    target = give(mkdir(scratch.path / "data", 0o700))
    give(touch(target / "mine")).write_text("precious")
    archive.fails("backup-fetch", target, "LATEST", says=["empty", "mine"])
    assert tree(target) == {"mine": ("0o644", b"precious")}


def test_configuration_alone_may_be_there(scratch, archive, stored):
    target = give(mkdir(scratch.path / "data", 0o700))
    for name in ("recovery.signal", "postgresql.auto.conf"):
        give(touch(target / name)).write_text("" if name.endswith("signal") else "work_mem = '5MB'\n")
    archive.ok("backup-fetch", target, "LATEST")
    assert (target / "recovery.signal").exists() and (target / "PG_VERSION").exists()


def test_interrupted_it_cannot_start_and_is_not_gone_on_with(scratch, archive, stored):
    target = scratch.path / "data"
    running = archive.start("backup-fetch", target, "LATEST", WALG_NETWORK_RATE_LIMIT=400_000)
    time.sleep(0.7 * SLOW)
    assert running.running(), running.wait()
    running.signal(15)
    result = running.wait(30)
    assert result.code == -15, result
    assert not (target / "global/pg_control").exists()
    assert [path.name for path in target.iterdir() if "incomplete" in path.name], "the marker of an unfinished restore"
    archive.fails("backup-fetch", target, "LATEST", says=str(target))


def test_names_and_selectors(scratch, archive, stored):
    name, = archive.backups()
    archive.fails("backup-fetch", scratch.path / "a", name[:-1] + ("0" if name[-1] != "0" else "1"), says=name)
    archive.fails("backup-fetch", scratch.path / "a", says="name")
    archive.fails("backup-fetch", scratch.path / "a", "--target-user-data", '{"n": 1}', says="user data")
    archive.fails("backup-fetch", scratch.path / "a", "LATEST", "--target-user-data", '{"n": 1}')
    assert not (scratch.path / "a").exists() or list((scratch.path / "a").iterdir()) == []


def test_by_user_data(scratch, archive, cluster):
    for n in range(3):
        archive.ok("backup-push", cluster.data, "--add-user-data", json.dumps({"n": n}), **cluster.connection())
    archive.ok("backup-fetch", scratch.path / "a", "--target-user-data", '{"n": 1}')
    label = (scratch.path / "a/backup_label").read_text()
    assert archive.backups()[1].removeprefix("base_") in label


def test_mask(scratch, archive, stored):
    archive.ok("backup-fetch", scratch.path / "a", "LATEST", "--mask", "global/*")
    files = {str(path.relative_to(scratch.path / "a")) for path in (scratch.path / "a").rglob("*") if path.is_file()}
    assert "global/1262" in files
    assert {name for name in files if not name.startswith("global/")} <= {"backup_label", "tablespace_map"}


def test_latest_is_by_time_not_by_name(scratch, archive, cluster):
    archive.ok("backup-push", cluster.data, **cluster.connection())
    archive.ok("backup-push", cluster.data, **cluster.connection())
    first, second = archive.backups()
    later = time.time_ns() + 10**10
    os.utime(archive.root / f"basebackups_005/{first}_backup_stop_sentinel.json", ns=(later, later))
    archive.ok("backup-fetch", scratch.path / "a", "LATEST")
    assert first.removeprefix("base_") in (scratch.path / "a/backup_label").read_text()


@pytest.mark.once
def test_no_space_left(scratch, archive, stored, small_disk):
    target = small_disk(8) / "data"
    archive.fails("backup-fetch", target, "LATEST", says="space")
    assert not (target / "global/pg_control").exists()


def test_a_tablespace_location_in_use_is_refused(scratch, archive, cluster):
    location = give(mkdir(scratch.path / "ts", 0o700))
    cluster.sql(f"create tablespace one location '{location}'")
    cluster.sql("create table t tablespace one as select 1 n")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    before = tree(location)
    archive.fails("backup-fetch", scratch.path / "a", "LATEST", says=["tablespace", str(location)])
    assert tree(location) == before
    cluster.stop()


def test_links_of_tablespaces_are_made_in_the_target(scratch, archive, cluster):
    """Not in the directory that the backup remembers, which may be a living cluster's."""
    location = give(mkdir(scratch.path / "ts", 0o700))
    cluster.sql(f"create tablespace one location '{location}'")
    cluster.sql("create table t tablespace one as select g from generate_series(1, 1000) g; checkpoint")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    location.rename(scratch.path / "old")
    links = tree(cluster.data / "pg_tblspc")
    restored = scratch.restored(archive)
    assert tree(cluster.data / "pg_tblspc") == links
    link, = (restored.data / "pg_tblspc").iterdir()
    assert link.is_symlink() and link.readlink() == location
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def settings_of(restored):
    """Recovery settings as the server would read them: the last of each wins."""
    path = restored / ("postgresql.auto.conf" if (restored / "recovery.signal").exists() else "recovery.conf")
    return dict(re.findall(r"^\s*(\w+)\s*=\s*'((?:[^']|'')*)'", path.read_text(), re.M))


def test_settings_left_from_another_recovery_are_taken_away(scratch, archive, cluster):
    cluster.sql("alter system set recovery_target_name = 'old'")
    cluster.sql("alter system set work_mem = '7MB'")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table t(n int)")
    lsn = cluster.lsn()
    cluster.archive_all()
    archive.ok("backup-fetch", scratch.path / "a", "LATEST", "--target-lsn", lsn, "--target-action", "pause")
    found = settings_of(scratch.path / "a")
    assert found["recovery_target_lsn"] == lsn and found["recovery_target_action"] == "pause"
    assert "recovery_target_name" not in found and found["work_mem"] == "7MB"
    assert "wal-fetch" in found["restore_command"] and "%f" in found["restore_command"] and "%p" in found["restore_command"]


def test_the_right_backup_is_picked(scratch, archive, cluster):
    """The newest backup that ended before the target, not the newest."""
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table t(n int)")
    lsn = cluster.lsn()
    moment = cluster.sql("select clock_timestamp()")
    time.sleep(0.2)
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    first, second = archive.backups()
    for n, (flags, want) in enumerate([(["--target-lsn", lsn], first), (["--target-time", moment], first),
                                       (["--target-lsn", cluster.lsn()], second)]):
        cluster.archive_all()
        archive.ok("backup-fetch", scratch.path / f"a{n}", "LATEST", *flags)
        assert want.removeprefix("base_") in (scratch.path / f"a{n}/backup_label").read_text(), flags


def test_wal_that_is_missing_is_noticed_before_downloading(scratch, archive, cluster):
    archive.ok("backup-push", cluster.data, **cluster.connection())
    names = [cluster.archive_all() for _ in range(4)]
    lsn = cluster.lsn()
    cluster.archive_all()
    victim, = (archive.root / "wal_005").glob(f"{names[2]}*")
    kept = victim.read_bytes()
    victim.unlink()
    for flags in (["--target-lsn", lsn], ["--target-name", "anything"], ["--target-xid", "999999"]):
        archive.fails("backup-fetch", scratch.path / "a", "LATEST", *flags, says=names[2])
        assert not (scratch.path / "a/PG_VERSION").exists()
    give(touch(victim)).write_bytes(kept)
    archive.ok("backup-fetch", scratch.path / "a", "LATEST", "--target-lsn", lsn)


@pytest.mark.parametrize("flags,words", [
    (["--target-time", "yesterday"], "yesterday"), (["--target-lsn", "12"], "12"), (["--target-xid", "x"], "x"),
    (["--target-immediate", "--target-lsn", "0/1"], "one"), (["--target-action", "promote"], "target"),
    (["--target-immediate", "--target-action", "dance"], "dance"), (["--target-immediate", "--target-timeline", "best"], "best")])
def test_bad_targets(scratch, archive, stored, flags, words):
    archive.fails("backup-fetch", scratch.path / "a", "LATEST", *flags, says=words)
    assert not (scratch.path / "a").exists()


def test_a_target_before_every_backup(scratch, archive, stored):
    archive.fails("backup-fetch", scratch.path / "a", "LATEST", "--target-time", "2001-01-01 00:00:00+00", says="backup")
    assert not (scratch.path / "a/PG_VERSION").exists()


def test_progress_of_long_work(scratch, archive, stored):
    """On a terminal a bar with bytes, rate and time left; on none nothing of the kind."""
    import pty
    import subprocess

    from seawall_harness import other_user
    master, slave = pty.openpty()
    process = subprocess.Popen([scratch.program, "backup-fetch", scratch.path / "a", "LATEST"], stderr=slave, stdout=slave,
                               env={**archive.environment(TERM="xterm"), "WALG_NETWORK_RATE_LIMIT": "900000"},
                               cwd=scratch.path, **other_user())
    os.close(slave)
    shown = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
    assert process.wait() == 0, shown
    text = shown.decode(errors="replace")
    assert "\r" in text and re.search(r"\d+ ?%", text) and re.search(r"[KM]i?B/s", text), text
    assert "\r" not in archive.ok("backup-fetch", scratch.path / "b", "LATEST").err
