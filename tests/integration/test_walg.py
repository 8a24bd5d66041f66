"""A real WAL-G ($WALG_BIN) works on what seawall wrote, and the reverse. Without it these are left out, and pytest says so."""
import json

import pytest
from golden import sums

pytestmark = pytest.mark.once


def restored_by(scratch, archive, tool, *flags, name="LATEST"):
    cluster = scratch.cluster(archive, empty=True)
    archive.ok("backup-fetch", cluster.data, name, *flags, program=tool, timeout=300, WALG_DOWNLOAD_CONCURRENCY=4)
    return cluster


def recovered(cluster, tool, digest):
    program, cluster.scratch.program = cluster.scratch.program, tool or cluster.scratch.program
    try:
        cluster.recovery(restore_command=cluster.restore_command())
    finally:
        cluster.scratch.program = program
    cluster.start(archive_mode="off")
    cluster.wait_promoted()
    assert cluster.digest() == digest
    cluster.stop()


def fill(cluster):
    cluster.sql("create table t as select g, md5(g::text) m from generate_series(1, 30000) g; create index on t(m);"
                "create table still as select g from generate_series(1, 30000) g; checkpoint")


def test_walg_restores_and_fetches_what_seawall_wrote(scratch, archive, cluster, walg):
    fill(cluster)
    archive.ok("backup-push", cluster.data, "--add-user-data", '{"n":1}', **cluster.connection(), WALG_TAR_SIZE_THRESHOLD=3 << 20)
    cluster.sql("insert into t select g, 'later' from generate_series(1, 100) g")
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    for flags in ((), ("--json",), ("--detail",), ("--detail", "--json"), ("--pretty",)):
        ours, theirs = (archive.ok("backup-list", *flags, program=program).out for program in (None, walg))
        assert ours == theirs
    theirs, ours = restored_by(scratch, archive, walg), restored_by(scratch, archive, None)
    assert sums(theirs.data) == sums(ours.data)
    recovered(theirs, walg, digest)
    recovered(ours, None, digest)


def test_walg_takes_a_delta_on_a_seawall_full_that_both_restore(scratch, archive, cluster, walg):
    """The proof of MTime, LSN and Files: a delta leaves out what they say is unchanged."""
    fill(cluster)
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("update t set m = 'changed' where g % 100 = 0; create table new as select 1 n; checkpoint")
    archive.ok("backup-push", cluster.data, program=walg, WALG_DELTA_MAX_STEPS=3, timeout=300, **cluster.connection())
    full, delta = archive.backups()
    assert "_D_" in delta and archive.sentinel(delta)["DeltaFrom"] == full
    files = json.loads((archive.root / f"basebackups_005/{delta}/files_metadata.json").read_text())["Files"]
    relation = "/" + cluster.sql("select pg_relation_filepath('still')")
    assert files[relation]["IsSkipped"], "an unchanged table is recognised by the time that seawall recorded"
    assert files["/" + cluster.sql("select pg_relation_filepath('t')")]["IsIncremented"]
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    theirs, ours = restored_by(scratch, archive, walg), restored_by(scratch, archive, None)
    assert sums(theirs.data) == sums(ours.data)
    recovered(ours, None, digest)
    recovered(theirs, walg, digest)


def test_seawall_reads_what_walg_writes_today(scratch, archive, cluster, walg):
    fill(cluster)
    cluster.configure("postgresql.auto.conf", archive_command=cluster.archive_command().replace(str(scratch.program), str(walg)))
    cluster.sql("select pg_reload_conf()")
    archive.ok("backup-push", cluster.data, program=walg, timeout=300, **cluster.connection())
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    recovered(restored_by(scratch, archive, None), None, digest)


def test_a_segment_is_the_same_to_both(scratch, archive, cluster, walg):
    name = cluster.archive_all()
    cluster.stop()
    for tool, out in ((None, "ours"), (walg, "theirs")):
        archive.ok("wal-fetch", name, scratch.path / out, program=tool, WALG_DOWNLOAD_CONCURRENCY=1)
    assert (scratch.path / "ours").read_bytes() == (scratch.path / "theirs").read_bytes()
    stored = archive.contents()
    archive.ok("wal-push", cluster.segment_file(name), program=walg, WALG_PREVENT_WAL_OVERWRITE="true")
    assert archive.contents() == stored


def test_a_chain_that_walg_took_comes_back_the_same_in_either_order(scratch, archive, cluster, walg):
    """Changed, cut, dropped and new tables, and a dropped database, over four backups."""
    push = {"program": walg, "timeout": 300, "WALG_DELTA_MAX_STEPS": 5, **cluster.connection()}
    fill(cluster)
    cluster.sql("create table shrinks as select g, md5(g::text) m from generate_series(1, 30000) g; create table goes as table t")
    cluster.sql("create database second")
    archive.ok("backup-push", cluster.data, **push)
    cluster.sql("update t set m = 'changed' where g % 100 = 0; delete from shrinks where g > 1000; drop table goes")
    cluster.sql("vacuum shrinks")
    archive.ok("backup-push", cluster.data, **push)
    cluster.sql("insert into shrinks select g, 'again' from generate_series(1, 20000) g; create table new as table t; checkpoint")
    cluster.sql("drop database second")
    archive.ok("backup-push", cluster.data, **push)
    cluster.sql("truncate new; insert into new select 1, 'one'; update t set m = 'late' where g < 100; checkpoint")
    archive.ok("backup-push", cluster.data, **push)
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    names = archive.backups()
    assert [("_D_" in name) for name in names] == [False, True, True, True]
    for name in names:
        want = sums(restored_by(scratch, archive, walg, name=name).data)
        for flags in ((), ("--reverse-unpack",), ("--reverse-unpack", "--skip-redundant-tars")):
            assert sums(restored_by(scratch, archive, None, *flags, name=name).data) == want, (name, flags)
    recovered(restored_by(scratch, archive, None, "--reverse-unpack", "--skip-redundant-tars"), None, digest)
