"""The main job: archived, backed up while being written, destroyed, and brought back with every row right."""
import json
import signal
import time

import pytest
from seawall_harness import give, mkdir


def busy(cluster, scale=1):
    cluster.pgbench("-i", "-q", "-s", scale)
    return cluster.pgbench("-n", "-c", 2, "-T", 600, "-R", 400, wait=False)


def end(process):
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def test_restore_point_under_load(scratch, archive, major):
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    load = busy(cluster)
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table keep(t text); insert into keep values ('before')")
    digest = cluster.digest_at_restore_point("good")
    cluster.sql("drop table keep")
    time.sleep(0.3)
    end(load)
    assert cluster.digest() != digest
    cluster.archive_all()
    cluster.crash()

    restored = scratch.restored(archive, major=major)
    restored.recovery(recovery_target_name="good")
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest
    assert "keep|1|" in digest


def test_restored_by_time_with_settings_written(scratch, archive, major):
    """--target-time picks the backup and writes recovery settings that work under `env -i`."""
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    load = busy(cluster)
    archive.ok("backup-push", cluster.data, **cluster.connection())
    moment, digest = cluster.digest_at_time()
    time.sleep(0.3)
    later = archive.ok("backup-push", cluster.data, **cluster.connection())
    assert len(archive.backups()) == 2, later
    end(load)
    cluster.archive_all()
    cluster.crash()

    restored = scratch.restored(archive, "LATEST", "--target-time", moment, "--target-action", "promote", major=major)
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_tablespaces(scratch, archive, major):
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    first, empty = (give(mkdir(scratch.path / name, 0o700)) for name in ("ts1", "ts2"))
    cluster.sql(f"create tablespace one location '{first}'")
    cluster.sql(f"create tablespace two location '{empty}'")
    cluster.sql("create table t tablespace one as select g, md5(g::text) from generate_series(1, 5000) g;"
                "create index on t(g) tablespace one")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    digest = cluster.digest()
    cluster.archive_all()
    cluster.crash()
    for path in (first, empty):
        path.rename(path.with_name(path.name + ".gone"))

    restored = scratch.cluster(archive, major=major, empty=True)
    spec = scratch.path / "spec.json"
    remembered = archive.sentinel(archive.backups()[0])["Spec"]
    for oid in remembered["tablespaces"]:
        remembered[oid]["loc"] += ".moved"
    remembered["base_prefix"] = str(restored.data)
    spec.write_text(json.dumps(remembered))
    archive.ok("backup-fetch", restored.data, "LATEST", "--restore-spec", spec)
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest
    links = sorted(path.readlink() for path in (restored.data / "pg_tblspc").iterdir())
    assert [link.name for link in links] == ["ts1.moved", "ts2.moved"]


def test_unlogged_tables_come_back_empty_and_temporary_files_do_not(scratch, archive, cluster):
    cluster.sql("create unlogged table u as select 1 as n; create table p as select 2 as n")
    left_over = give(mkdir(cluster.data / "base/pgsql_tmp", 0o700)) / "pgsql_tmp99.0"
    left_over.write_text("x")
    give(left_over)
    path = cluster.sql("select pg_relation_filepath('u')")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    restored = scratch.restored(archive)
    assert not (restored.data / "base/pgsql_tmp/pgsql_tmp99.0").exists()
    assert not (restored.data / path).exists(), "the unlogged relation's own file belongs in no backup"
    assert (restored.data / f"{path}_init").exists()
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.sql("select count(*) from u; select n from p") == "0\n2"


def test_crash_of_the_primary_loses_nothing_that_was_archived(scratch, archive, cluster):
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table t as select g from generate_series(1, 3000) g")
    cluster.archive_all()
    digest = cluster.digest()
    cluster.crash()
    restored = scratch.restored(archive)
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


@pytest.mark.parametrize("target", ["immediate", "lsn", "xid"])
def test_other_targets(scratch, archive, cluster, target):
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("create table t(n int)")
    xid = cluster.sql("begin; insert into t values (1); select txid_current(); commit;")
    lsn = cluster.lsn()
    cluster.sql("insert into t values (2)")
    cluster.archive_all()
    flags = {"immediate": ["--target-immediate"], "lsn": ["--target-lsn", lsn], "xid": ["--target-xid", xid]}[target]
    restored = scratch.restored(archive, "LATEST", *flags, "--target-action", "promote")
    restored.start(archive_mode="off")
    restored.wait_promoted()
    tables = restored.sql("select count(*) from pg_class where relname = 't'")
    assert tables == ("0" if target == "immediate" else "1")
    if target != "immediate":
        assert restored.sql("select string_agg(n::text, ',' order by n) from t") == "1"
