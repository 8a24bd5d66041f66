"""Listing, verifying, marking and deleting on archives that WAL-G wrote and on real servers."""
import json
import os
import random
import re
import signal
import time

import golden
import pytest
import seawall_harness as harness
from golden import WALG

CASE = "lz4-delta"
FULL = "base_000000010000000000000015"
PERMANENT = "base_00000001000000000000001C"
LAST = "base_00000002000000000000001E_D_00000002000000000000001C"


@pytest.fixture(scope="session")
def unpacked_case(session_directory):
    return golden.unpack(CASE, harness.mkdir(session_directory / "case-of-the-catalogue"))


@pytest.fixture
def case(scratch, unpacked_case):
    return golden.CaseArchive(scratch, CASE, unpacked_case)


def listed(archive):
    return [line["backup_name"] for line in archive.ok("backup-list", "--json").json()]


def whole(archive):
    """Every backup that is listed restores, as far as names, sizes and documents tell."""
    info = archive.ok("info", "--json").json()
    return not [fault for fault in info["faults"] if fault["damages"]]


@pytest.mark.parametrize("words,line", [
    (["before", "FULL", FULL], "unsupported moodifier for delete before command"),
    (["before", "2099-01-01T00:00:00Z"], "cannot delete before future date"),
    (["retain", "0"], "cannot retain less than one backup. Check out delete everything")])
def test_mistakes_are_answered_as_scripts_know_it(case, words, line):
    assert case.fails("delete", *words).out == line + "\n"


@pytest.mark.parametrize("words", [["retain"], ["retain", "x"], ["retain", "FULL"], ["before"], ["before", FULL, "more"],
                                   ["target"], ["target", FULL, "--target-user-data", "1"], ["target", "FULL", FULL],
                                   ["everything", "now"], ["garbage", "WAL"], ["garbage", "ARCHIVES", "BACKUPS"]])
def test_other_mistakes_delete_nothing(case, words):
    before = case.stamps()
    case.fails("delete", *words, "--confirm")
    assert case.stamps() == before


def test_a_dry_run_shows_what_confirm_does(case):
    dry = case.ok("delete", "retain", "FULL", "1")
    marked = [line.split()[-2] for line in dry.err.splitlines() if "Object marked for deletion: " in line]
    before = case.keys()
    case.ok("delete", "retain", "FULL", "1", "--confirm")
    assert sorted(set(before) - set(case.keys())) == sorted(marked) and marked
    assert f"Dry run: objects would be deleted count={len(marked)}" in dry.err
    assert listed(case)[-1] == LAST and whole(case)


def test_of_many_segments_not_every_size_is_looked_up(case):
    """A plan says then about how much is freed; what a backup needs is looked up all the same."""
    for number in range(0x22, 0x22 + 5000):
        (case.root / f"wal_005/00000001{number // 4096:08X}{number % 4096:08X}.lz4").write_bytes(b"x" * 4000)
    (case.root / "wal_005/00000002000000000000001C.lz4").write_bytes(b"")
    harness.give(case.root, recursive=True)
    plan = case.ok("delete", "everything", "FORCE").err
    told = re.search(r" (\d+) objects go, about ([0-9.]+) MiB are freed", plan)
    assert told and int(told[1]) == len(case.keys()), plan[-500:]
    stored = sum((case.root / key).stat().st_size for key in case.keys())
    assert abs(float(told[2]) * 2**20 - stored) < stored / 20
    warnings = [line for line in plan.splitlines() if "WARNING" in line]
    assert any("wal_005/00000002000000000000001C is missing" in line for line in warnings), warnings
    assert "about" not in case.ok("expire", "--keep-full", "1").out


def test_a_permanent_backup_goes_once_its_mark_is_off(case):
    case.fails("delete", "target", PERMANENT, "--confirm", says=["permanent", "backup-mark"])
    case.fails("delete", "everything", "--confirm", says=PERMANENT)
    case.ok("backup-mark", PERMANENT, "-i")
    case.ok("delete", "target", PERMANENT, "--confirm")
    assert PERMANENT not in listed(case) and not case.keys(f"basebackups_005/{PERMANENT}")


def test_marks_are_what_walg_writes(case):
    before = (case.root / f"basebackups_005/{FULL}/metadata.json").read_bytes()
    case.ok("backup-mark", FULL)
    after = (case.root / f"basebackups_005/{FULL}/metadata.json").read_bytes()
    assert after == before.replace(b'"is_permanent":false', b'"is_permanent":true') != before
    assert "already" in case.ok("backup-mark", FULL).err
    assert (case.root / f"basebackups_005/{FULL}/metadata.json").read_bytes() == after


def expire(archive, *words, **settings):
    return archive.ok("expire", "--json", *words, **settings).json()


def test_expire_takes_rules_from_flags_and_settings(case):
    plan = expire(case, "--keep-full", "1")
    assert plan["dry_run"] and [line["name"] for line in plan["keep"]["backups"]] == listed(case)
    assert plan == expire(case, SEAWALL_KEEP_FULL=1) == expire(case, "--keep-full=1", SEAWALL_KEEP_FULL=7)
    case.fails("expire", code=2, says="no rule")
    case.fails("expire", "--keep-full", "0", code=2, says="no rule")
    case.fails("expire", "--keep-full", "some", code=2, says="whole number")


def test_expire_deletes_what_its_plan_says(case):
    case.ok("delete", "target", "FIND_FULL", LAST, "--confirm")
    plan = expire(case, "--keep-full", "1", "--confirm")
    gone = [line["name"] for line in plan["delete"]["backups"]]
    assert not plan["dry_run"] and plan["objects"] > 0
    assert not set(gone) & set(listed(case)) and PERMANENT in listed(case) and whole(case)
    assert expire(case, "--keep-full", "1", "--confirm")["objects"] == 0


def damage(archive, name, change):
    path = archive.root / name
    times = path.stat()
    change(path)
    if path.exists():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


SENTINEL = f"basebackups_005/{FULL}_backup_stop_sentinel.json"
BROKEN = {
    "sentinel is no JSON": (SENTINEL, lambda path: path.write_text('{"LSN":'), "sentinel.json"),
    "sentinel of another shape": (SENTINEL, lambda path: path.write_text('[1]'), "sentinel.json"),
    "sentinel is binary": (SENTINEL, lambda path: path.write_bytes(bytes(range(256))), "sentinel.json"),
    "metadata is no JSON": (f"basebackups_005/{FULL}/metadata.json", lambda path: path.write_text("nothing"), "metadata.json"),
    "parent is gone": (SENTINEL, lambda path: path.unlink(), f"{FULL}, which it stands on"),
    "part is gone": (f"basebackups_005/{FULL}/tar_partitions/part_002.tar.lz4", lambda path: path.unlink(), "part_002"),
    "part is empty": (f"basebackups_005/{FULL}/tar_partitions/part_002.tar.lz4", lambda path: path.write_bytes(b""), "part_002"),
    "history is no history": ("wal_005/00000002.history.lz4", lambda path: path.write_bytes(b"not lz4"), "00000002.history"),
    "it stands on itself": (SENTINEL, lambda path: path.write_text(json.dumps(
        {**json.loads(path.read_text()), "DeltaFrom": FULL, "DeltaFullName": FULL, "DeltaLSN": 22020136, "DeltaCount": 1})),
        "circle"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_and_hides_nothing_else(case, name):
    key, change, says = BROKEN[name]
    damage(case, key, change)
    names = listed(case)
    assert len(names) == (7 if name == "parent is gone" else 8)
    result = case.ok("info")
    assert says in result.out, result
    assert says in json.dumps(case.ok("info", "--json").json())
    case.ok("wal-show")
    assert len(case.ok("wal-show", "--detailed-json").json()) == 2
    case.ok("wal-verify", "integrity", "timeline", "--timeline", "2", "--lsn", "0/2000000")
    detail = case.run("backup-list", "--detail", "--json")
    assert len(json.loads(detail.out)) == len(names)
    assert detail.code == (1 if "metadata" in name else 0), detail
    # What stands on it and what cannot be told stays.
    before = set(case.keys())
    case.run("delete", "retain", "FIND_FULL", "1", "--confirm")
    case.run("expire", "--keep-full", "1", "--confirm")
    gone = before - set(case.keys())
    assert not [key for key in gone if key.startswith("basebackups_005/") and FULL not in key], gone
    assert LAST in listed(case)


def test_foreign_objects_stay_untouched(case):
    foreign = ["notes.txt", "wal_005/000000010000000000000001.tmp", "wal_005/00000001000000000000000g",
               "basebackups_005/keep/part_001.tar.lz4", "other/wal_005/000000010000000000000001.lz4"]
    for key in foreign:
        harness.mkdir((case.root / key).parent)
        (case.root / key).write_text("mine")
    harness.give(case.root, recursive=True)
    assert "notes.txt" in case.ok("info").out
    case.ok("delete", "everything", "FORCE", "--confirm")
    assert case.keys() == sorted(foreign)


def test_without_permission_nothing_is_lost(case):
    for directory in [case.root / "basebackups_005", case.root / "wal_005", *(case.root / "basebackups_005").rglob("*")]:
        if directory.is_dir():
            directory.chmod(0o555)
    before = case.stamps()
    case.fails("delete", "everything", "FORCE", "--confirm", says="could not be removed")
    case.fails("backup-mark", FULL)
    case.ok("info")
    assert case.stamps() == before
    for directory in [case.root / "basebackups_005", case.root / "wal_005", *(case.root / "basebackups_005").rglob("*")]:
        if directory.is_dir():
            directory.chmod(0o755)


def test_what_is_being_written_stays(case):
    young = harness.mkdir(case.root / "basebackups_005/base_000000020000000000000020_D_00000001000000000000001E/tar_partitions")
    (young / "part_001.tar.lz4").write_text("first part")
    harness.give(case.root, recursive=True)
    for words in (["garbage"], ["retain", "FULL", "1"], ["before", "FIND_FULL", LAST]):
        result = case.ok("delete", *words, "--confirm")
        assert (young / "part_001.tar.lz4").exists(), result
    case.fails("delete", "target", "base_00000001000000000000001E", "--confirm", says="is being made")
    assert "being written" in case.ok("info").out
    case.ok("delete", "garbage", "--confirm", SEAWALL_IN_FLIGHT_TIME="0")
    assert not (young / "part_001.tar.lz4").exists()


def kill_somewhere(archive, words, seed):
    """Ends the deletion by SIGKILL after a random part of its time."""
    running = archive.start(*words)
    time.sleep(random.Random(seed).uniform(0, 0.05) * harness.SLOW)
    running.signal(signal.SIGKILL)
    return running.wait()


@pytest.mark.parametrize("words", [["expire", "--keep-full", "2", "--confirm"], ["delete", "everything", "FORCE", "--confirm"]])
def test_killed_deletions_leave_only_what_restores(case, words):
    """Whatever is listed after a kill is whole; and what was to stay is found again, byte for byte, by a restore."""
    for seed in range(12):
        kill_somewhere(case, words, seed)
        assert whole(case), f"killed with seed {seed}"
    left = listed(case)
    for name in left[-1:]:
        target = case.scratch.path / "restored"
        case.ok("backup-fetch", target, name)
        sums = WALG / CASE / "expect/latest.restored.sha256"
        if name == LAST:
            assert golden.sums(target) == golden.expected_sums(sums)


def generations(cluster, archive):
    """Full backups with a table that tells which is which, and WAL in between."""
    cluster.start()
    cluster.sql("create table generation (n int)")
    for number in range(1, 5):
        cluster.sql(f"insert into generation values ({number})")
        archive.ok("backup-push", cluster.data, **cluster.connection())
        cluster.archive_all()
    cluster.sql("insert into generation values (99)")
    cluster.archive_all()


def test_what_stays_is_really_restored(scratch):
    """After a deletion on a living archive every kept backup starts on a real server, and recovery reaches the end."""
    archive = scratch.archive()
    cluster = scratch.cluster(archive)
    generations(cluster, archive)
    names = listed(archive)
    archive.ok("backup-mark", names[0])
    verified = archive.ok("wal-verify", "integrity", "timeline", "--json", **cluster.connection()).json()
    assert verified["timeline"]["status"] == "OK" and verified["integrity"]["status"] in ("OK", "WARNING")
    plan = expire(archive, "--keep-full", "2", "--confirm")
    assert [line["name"] for line in plan["delete"]["backups"]] == [names[1]]
    assert plan["delete"]["wal"], "the WAL between the permanent backup and the kept ones goes"
    assert listed(archive) == [names[0], *names[2:]] and whole(archive)
    cluster.stop()
    for name, settings, rows in ((names[0], {"recovery_target": "immediate"}, "1"), (names[2], {}, "1\n2\n3\n4\n99")):
        restored = scratch.restored(archive, name)
        restored.recovery(**settings)
        restored.start(archive_mode="off")
        restored.wait_promoted()
        assert restored.sql("select n from generation order by 1") == rows
        restored.stop()
