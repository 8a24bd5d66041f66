"""seawall restore: one command from an archive to a server, and the proof that there is such a way."""
import os
import pathlib
import stat
import subprocess
import xml.etree.ElementTree as xml

import pytest
from seawall_harness import give, mkdir, tree, wait_until

DEBIAN_BIN = "/usr/lib/postgresql/15/bin"


@pytest.fixture
def filled(cluster):
    """Backed up, changed since, and archived to the end."""
    cluster.sql("create table keep as select g, md5(g::text) from generate_series(1, 3000) g; create index on keep(g)")
    cluster.archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("insert into keep values (0, 'after')")
    cluster.archive_all()
    return cluster


def local(sockets):
    """A server-option that puts the sockets where the test can reach them."""
    return ["--server-option", f"unix_socket_directories={sockets}", "--server-option", "archive_mode=off"]


def test_restored_and_started(scratch, filled):
    digest = filled.digest()
    filled.stop()
    restored = scratch.cluster(filled.archive, empty=True)
    restored.started = True  # so that the harness stops it
    result = filled.archive.ok("restore", "LATEST", restored.data, "--start", "--wait", "2m", *local(restored.sockets))
    name = filled.archive.backups()[0]
    lines = result.out.splitlines()
    assert lines[0] == f"{name} restored into {restored.data}"
    assert "accepts connections" in lines[1], result
    assert lines[2].startswith("recovered to 0/"), result
    restored.wait_promoted()
    assert restored.digest() == digest
    assert restored.sql("select count(*) from keep where md5 = 'after'") == "1"
    # No second server, and no restore over a server that runs.
    filled.archive.fails("restore", "LATEST", restored.data, code=10, says="runs on")
    assert restored.alive()


def test_directory_by_pgdata_and_restore_command_of_the_user(scratch, filled):
    """As the container's `restore`: one word names the backup; the WAL comes by a plain copy from elsewhere."""
    digest = filled.digest()
    elsewhere = give(mkdir(scratch.path / "elsewhere"))
    filled.sql(f"copy (select 1) to program 'cp {filled.data}/pg_wal/0* {elsewhere}/'")
    filled.stop()
    restored = scratch.cluster(filled.archive, empty=True)
    filled.archive.ok("restore", "LATEST", PGDATA=restored.data, RESTORE_COMMAND=f"cp '{elsewhere}/%f' \"%p\"")
    settings = (restored.data / "postgresql.auto.conf").read_text()
    assert f"restore_command = 'cp ''{elsewhere}/%f'' \"%p\"'" in settings
    assert "recovery_target_action" not in settings
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_target_and_no_target_of_an_old_server(scratch, archive):
    cluster = scratch.cluster(archive, major=11)
    cluster.start()
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table t as select 1 as a")
    digest = cluster.digest()
    cluster.sql("select pg_create_restore_point('here') \\g /dev/null\ndrop table t")
    cluster.archive_all()
    cluster.stop()
    restored = scratch.cluster(archive, major=11, empty=True)
    archive.ok("restore", restored.data, "--target-name", "here", "--target-action", "promote")
    assert (restored.data / "recovery.conf").exists()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_the_directory_gets_the_owner_of_its_files(scratch, filled):
    """As root the directory may be there and root's; a server would refuse it."""
    filled.stop()
    target = mkdir(scratch.path / "rooted", 0o700)
    if os.getuid() == 0:
        os.chown(target, 0, 0)
    env = filled.archive.environment()
    done = subprocess.run([scratch.program, "restore", "LATEST", target], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    owner = (filled.data / "PG_VERSION").stat().st_uid
    for path in (target, target / "postgresql.auto.conf", target / "recovery.signal", target / "seawall_recovery.json"):
        assert path.stat().st_uid == owner, path
    assert stat.S_IMODE((target / "seawall_recovery.json").stat().st_mode) == 0o600


def verify(archive, place, *flags, run=None, **settings):
    return (run or archive.ok)("restore", "--verify-only", place, *flags, SEAWALL_PG_BINDIR=DEBIAN_BIN, **settings)


def test_verified_and_thrown_away(scratch, filled):
    ts = give(mkdir(scratch.path / "ts", 0o700))
    filled.sql(f"create tablespace one location '{ts}'")
    filled.sql("create table elsewhere tablespace one as select g from generate_series(1, 2000) g; create database other")
    filled.archive.ok("backup-push", filled.data, **filled.connection())
    filled.sql("insert into keep values (0, 'latest')")
    filled.archive_all()
    before, stamps = tree(ts), filled.archive.stamps()
    checks = scratch.path / "checks.sql"
    checks.write_text("select 'rows: ' || count(*) from keep where md5 = 'latest';\n"
                      "do $$ begin assert (select count(*) = 2000 from elsewhere), 'elsewhere is not whole'; end $$;\n")
    place = give(mkdir(scratch.path / "verify"))
    report = verify(filled.archive, place, "--sql", checks, "--report", "json").json()
    # Another worker's verification may be under way: its directory goes when it ends, one that was left stays.
    there = [path for path in pathlib.Path("/tmp").glob("seawall-??????") if path.is_dir()]
    assert report["ok"] and report["backup"] == filled.archive.backups()[-1], report
    assert [(step["name"], step["outcome"]) for step in report["steps"]] == [
        ("restore", "passed"), ("recover", "passed"), ("amcheck", "passed"), (f"sql {checks}", "passed")], report
    assert report["steps"][3]["detail"] == "rows: 1"
    assert report["lsn"].startswith("0/") and report["timeline"] == "2" and report["last_transaction"]
    assert list(place.iterdir()) == [] and tree(ts) == before
    assert filled.archive.stamps() == stamps, "the verification wrote to the archive"
    wait_until(lambda: not any(sockets.exists() for sockets in there), 60, f"the sockets' directory is removed: {there}")
    assert filled.sql("select 1") == "1"


def test_what_does_not_restore_is_told_in_every_form(scratch, filled):
    checks = scratch.path / "checks.sql"
    checks.write_text("select 1/0;\n")
    place = give(mkdir(scratch.path / "verify"))
    output = place.parent / "home" / "report.xml"
    result = verify(filled.archive, place, "--sql", checks, "--report", "junit", "--output", output,
                    run=lambda *words, **rest: filled.archive.fails(*words, code=16, says="division by zero", **rest))
    assert result.out == ""
    suite = xml.parse(output).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure.get("type") == "db" and "division by zero" in failure.get("message")
    assert list(place.iterdir()) == []

    # A segment in the middle is lost: found before anything is restored, and the rest is said to be skipped.
    filled.archive_all()
    filled.archive_all()
    lost = filled.archive.wal()[-2]
    next((filled.archive.root / "wal_005").glob(f"{lost}*")).unlink()
    text = verify(filled.archive, place, run=lambda *words, **rest: filled.archive.fails(*words, code=9, says=lost, **rest)).out
    assert text.startswith("Backup (none): DOES NOT RESTORE"), text
    assert "failed  restore" in text and "skipped recover" in text and "skipped amcheck" in text


def test_damage_that_only_amcheck_finds(scratch, cluster):
    """An index that contradicts its table's order: no checksum tells, and the server starts on it."""
    cluster.sql("create function f(int) returns int immutable language sql as 'select $1';"
                "create table t as select g from generate_series(1, 2000) g; create index i on t(g);"
                "create operator class backwards for type int using btree as operator 1 >, operator 2 >=, operator 3 =,"
                " operator 4 <=, operator 5 <, function 1 btint4cmp(int, int)")
    # The comparison now says the opposite of the order in which the index was built.
    cluster.sql("update pg_index set indclass = (select oid::text::oidvector from pg_opclass where opcname = 'backwards')"
                " where indexrelid = 'i'::regclass")
    cluster.sql("create or replace function btint4cmp_reversed(int, int) returns int immutable language sql as"
                " 'select btint4cmp($2, $1)';"
                "update pg_amproc set amproc = 'btint4cmp_reversed'::regproc where amprocfamily ="
                " (select opcfamily from pg_opclass where opcname = 'backwards')")
    cluster.archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    place = give(mkdir(scratch.path / "verify"))
    result = verify(cluster.archive, place, run=lambda *words, **rest: cluster.archive.fails(*words, code=8, **rest))
    assert "failed  amcheck" in result.out, result


@pytest.mark.parametrize("words, code, says", [
    (["restore"], 2, "where to"),
    (["restore", "LATEST"], 2, "where to"),
    (["restore", "LATEST", "d", "e"], 2, "one word too many"),
    (["restore", "LATEST", "d", "--wait", "1m"], 2, "--start"),
    (["restore", "LATEST", "d", "--start", "--wait", "soon"], 2, "--wait is 'soon'"),
    (["restore", "LATEST", "d", "--start", "--server-option", "nothing"], 2, "name=value"),
    (["restore", "LATEST", "d", "--sql", "f"], 2, "--verify-only"),
    (["restore", "--verify-only", "d", "--report", "yaml"], 2, "text, json and junit"),
    (["restore", "--verify-only", "d", "--start"], 2, "--start"),
    (["restore", "LATEST", "d"], 4, "no backup"),
    (["restore", "base_000000010000000000000003", "d"], 4, "base_000000010000000000000003"),
])
def test_wrong_command_lines(archive, words, code, says):
    archive.fails(*words, code=code, says=says)
    assert archive.keys() == []
    assert not (archive.scratch.path / "d" / "PG_VERSION").exists()
