"""seawall check backup, also under the container's name for it: what it sees, and what a health check gets."""
import os
import time

import pytest
from seawall_harness import wait_until


@pytest.fixture
def filled(cluster):
    cluster.archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    return cluster


def age(archive, pattern, seconds):
    """Makes what is stored look older."""
    for path in archive.root.glob(pattern):
        os.utime(path, (time.time() - seconds,) * 2)


def test_healthy(filled):
    archive = filled.archive
    stamps = archive.stamps()
    name, wal = archive.backups()[0], archive.wal()[-1]
    text = archive.ok("check", "backup").out.splitlines()
    assert text[0].startswith(f"ok     base backup {name}, ") and text[0].endswith("limit 7 d 0 h"), text
    assert text[1].startswith("ok     WAL file ") and text[1].endswith("limit 7 min 0 s"), text
    assert text[-1] == "backups ok"
    seen = archive.ok("check", "backup", "--json").json()
    assert seen["ok"] and seen["base_backup"]["name"] == name and seen["wal"]["name"] == wal and seen["missing"] is None
    assert seen["segments_since_backup"] == len([w for w in archive.wal() if len(w) == 24 and w >= name[5:]])
    line = archive.ok("check", "backup", "--nagios").out
    assert line.startswith("SEAWALL OK - ") and "| backup_age=" in line and line.count("\n") == 1
    assert archive.stamps() == stamps


def test_old_backups_and_old_wal(filled):
    archive = filled.archive
    age(archive, "basebackups_005/*sentinel.json", 3600)
    archive.ok("check", "backup", BASE_BACKUP_INTERVAL_MINUTES="56")
    old = archive.run("check", "backup", BASE_BACKUP_INTERVAL_MINUTES="54")
    assert old.code == 1 and old.out.splitlines()[0].startswith("NOT OK base backup") and "backups NOT OK" in old.out
    age(archive, "wal_005/*", 500)
    assert archive.run("check", "backup").code == 1
    archive.ok("check", "backup", CHECKPOINT_TIMEOUT_SECONDS="400")
    nagios = archive.run("check", "backup", "--nagios")
    assert nagios.code == 2 and nagios.out.startswith("SEAWALL CRITICAL - WAL file "), nagios
    assert archive.run("check", "backup", "--json").json()["ok"] is False


def test_a_gap_and_half_a_backup(filled):
    archive = filled.archive
    for _ in range(3):
        filled.archive_all()
    lost = [w for w in archive.wal() if len(w) == 24][-2]
    next((archive.root / "wal_005").glob(lost + "*")).unlink()
    gap = archive.run("check", "backup")
    assert gap.code == 1 and f"NOT OK WAL segment {lost} is missing" in gap.out
    # What a broken backup left is no backup.
    next(archive.root.glob("basebackups_005/*sentinel.json")).unlink()
    none = archive.run("check", "backup", "--json")
    assert none.code == 1 and none.json()["base_backup"] is None and none.json()["wal"] is not None


def test_what_the_server_says(scratch, filled):
    archive = filled.archive
    # The archiver tells the statistics up to a second later.
    wait_until(lambda: filled.sql("select last_archived_wal from pg_stat_archiver") == archive.wal()[-1], 30, "the statistics")
    seen = archive.ok("check", "backup", "--server", "--json", **filled.connection()).json()
    assert seen["server"] == {"last_archived": archive.wal()[-1], "waiting": 0, "ok": True}, seen
    # Nothing was written since: old WAL is no reason for an alarm where the server is asked, and one where it is not.
    age(archive, "wal_005/*", 5000)
    idle = archive.ok("check", "backup", **filled.connection())
    assert "the server has nothing to archive" in idle.out
    assert archive.run("check", "backup").code == 1
    (archive.root / "wal_005" / f"{archive.wal()[-1]}.lz4").unlink()
    apart = archive.run("check", "backup", "--server", **filled.connection())
    assert apart.code == 1 and "that file is not in this archive" in apart.out
    # Archiving fails: told at once, long before anything is too old.
    filled.sql("alter system set archive_command = 'false'")
    filled.sql("select pg_reload_conf()")
    filled.switch_wal()
    for _ in range(100):
        if filled.sql("select failed_count > 0 from pg_stat_archiver") == "t":
            break
        time.sleep(0.1)
    failing = archive.run("check", "backup", "--server", **filled.connection())
    assert failing.code == 1 and "failed with " in failing.out
    filled.stop()
    unreached = {"PGHOST": str(filled.sockets), "PGUSER": "postgres"}
    archive.fails("check", "backup", "--server", code=13, says="socket", **unreached)
    assert "the server was not asked" in archive.run("check", "backup", **unreached).err


@pytest.fixture
def script(scratch):
    """The program under the name that the container has for it."""
    link = scratch.program.parent / "check_backup"
    if not link.exists():
        link.symlink_to(scratch.program)
    return link


def test_the_container_words(filled, script):
    archive = filled.archive
    assert archive.ok(program=script).out == "backups ok\n"
    age(archive, "wal_005/*", 500)
    stale = archive.run(program=script)
    assert (stale.code, stale.out) == (1, "wal file check ok:  False\nbase backup check ok:  True\n")
    age(archive, "basebackups_005/*", 700000)
    stale = archive.run(program=script)
    assert (stale.code, stale.out) == (1, "wal file check ok:  False\nbase backup check ok:  False\n")
    assert archive.ok(program=script, CHECKPOINT_TIMEOUT_SECONDS="600", BASE_BACKUP_INTERVAL_MINUTES="20000").out == "backups ok\n"


def test_an_empty_and_an_unreachable_archive(archive, script):
    empty = archive.run("check", "backup")
    assert (empty.code, empty.out) == (1, "NOT OK no base backup\nNOT OK no WAL file\nbackups NOT OK\n")
    assert archive.run(program=script).out == "wal file check ok:  False\nbase backup check ok:  False\n"
    away = {"WALG_FILE_PREFIX": None, "WALG_S3_PREFIX": "s3://nowhere/there", "AWS_ENDPOINT": "http://127.0.0.1:9",
            "AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "WALG_S3_MAX_RETRIES": "1"}
    archive.fails("check", "backup", code=13, says="127.0.0.1", **away)
    unknown = archive.run("check", "backup", "--nagios", **away)
    assert unknown.code == 3 and unknown.out.startswith("SEAWALL UNKNOWN - "), unknown
    unreached = archive.run(program=script, **away)
    assert (unreached.code, unreached.out) == (1, "wal file check ok:  False\nbase backup check ok:  False\n")
    assert "127.0.0.1" in unreached.err and "ERROR" in unreached.err
    archive.fails("check", "backup", code=3, says="BASE_BACKUP_INTERVAL_MINUTES", BASE_BACKUP_INTERVAL_MINUTES="-1")
    archive.fails("check", "backup", "--json", "--nagios", code=2, says="not both")
    assert archive.keys() == []
