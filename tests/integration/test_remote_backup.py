"""backup-push without a directory: the server sends its files over the replication protocol."""
import json
import os
import signal
import subprocess
import time

import pytest
from seawall_harness import DEBIAN, MIB, SLOW, base_environment, give, mkdir, other_user, server_binaries, wait_until
from test_backup_push import assert_recovers_to, backup_of_a_standby, decoded, in_backup_mode, members, standby_of
from test_cycle import busy, end


def push(cluster, *flags, **settings):
    return cluster.archive.ok("backup-push", *flags, **{**cluster.connection(), **settings})


def refused(cluster, *flags, says=(), **settings):
    """backup-push fails, and the archive holds what it held before."""
    before = cluster.archive.contents()
    result = cluster.archive.fails("backup-push", *flags, says=says, **{**cluster.connection(), **settings})
    assert cluster.archive.contents() == before, result
    return result


def verified(cluster):
    """PostgreSQL's own check of a restored directory by its manifest."""
    program = server_binaries(cluster.major, cluster.scratch.path.parent) / "pg_verifybackup"
    if not program.exists():  # builds for tests lack it; Debian's reads the manifests of majors up to its own
        program = DEBIAN / "pg_verifybackup"
        if cluster.major > 15:
            return
    done = subprocess.run([program, "-n", cluster.data], cwd="/", env=base_environment("/"), capture_output=True, text=True,
                          check=False, **other_user())
    assert done.returncode == 0, done.stdout + done.stderr


def three_tables(scratch, cluster):
    """Tables in the data directory and in two tablespaces, one of which nothing is in."""
    first, empty = (give(mkdir(scratch.path / name, 0o700)) for name in ("ts1", "ts2"))
    cluster.sql(f"create tablespace one location '{first}'")
    cluster.sql(f"create tablespace two location '{empty}'")
    cluster.sql("create table t tablespace one as select g, md5(g::text) from generate_series(1, 5000) g;"
                "create index on t(g) tablespace one; create table u as table t")
    return first, empty


def test_recovered_under_load_with_tablespaces(scratch, archive, major):
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    places = three_tables(scratch, cluster)
    load = busy(cluster)
    push(cluster, WALG_TAR_SIZE_THRESHOLD=8 * MIB)
    cluster.sql("create table keep(t text); insert into keep values ('before')")
    digest = cluster.digest_at_restore_point("good")
    cluster.sql("drop table keep")
    end(load)
    cluster.archive_all()
    cluster.crash()
    for place in places:
        place.rename(place.with_name(place.name + ".gone"))

    restored = scratch.restored(archive, major=major)
    assert sorted(path.readlink() for path in (restored.data / "pg_tblspc").iterdir()) == sorted(places)
    name, = archive.backups()
    has_manifest = archive.holds(f"basebackups_005/{name}/backup_manifest.lz4")
    assert has_manifest == (restored.data / "backup_manifest").exists() == (major >= 13)
    if has_manifest:
        verified(restored)
    restored.recovery(recovery_target_name="good")
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest
    assert "keep|1|" in digest


def test_objects_of_a_remote_backup(scratch, archive, cluster):
    """Names, lists and numbers as WAL-G's backups of this kind have them."""
    place, _ = three_tables(scratch, cluster)
    cluster.sql("checkpoint")
    push(cluster, "--permanent", "--add-user-data", '{"n": 1}', WALG_TAR_SIZE_THRESHOLD=2 * MIB)
    name, = archive.backups()
    keys = [key.removeprefix("basebackups_005/") for key in archive.keys("basebackups_005")]
    parts = [key for key in keys if "/tar_partitions/part_" in key]
    assert parts == [f"{name}/tar_partitions/part_{n:03}.tar.lz4" for n in range(1, len(parts) + 1)] and len(parts) > 3
    assert set(keys) - set(parts) == {f"{name}/{key}" for key in (
        "metadata.json", "files_metadata.json", "seawall.json", "backup_manifest.lz4", "tar_partitions/pg_control.tar.lz4")} \
        | {f"{name}_backup_stop_sentinel.json"}
    times = {key: (archive.root / "basebackups_005" / key).stat().st_mtime_ns for key in keys}
    assert max(times, key=times.get) == f"{name}_backup_stop_sentinel.json", "the sentinel is the commit"

    sentinel = archive.sentinel(name)
    oid = cluster.sql("select oid from pg_tablespace where spcname = 'one'")
    assert sentinel["Spec"]["base_prefix"] == str(cluster.data) == sentinel["DataDir"]
    assert sentinel["Spec"][oid] == {"loc": str(place), "link": f"pg_tblspc/{oid}"} and len(sentinel["Spec"]["tablespaces"]) == 2
    assert sentinel["UserData"] == {"n": 1} and sentinel["IsPermanent"] is True and "DataCatalogSize" not in sentinel
    assert sentinel["SystemIdentifier"] == int(cluster.sql("select system_identifier from pg_control_system()"))
    assert sentinel["LSN"] < sentinel["FinishLSN"] and sentinel["PgVersion"] // 10000 == 15

    found, control = {}, 0
    for part in [*parts, f"{name}/tar_partitions/pg_control.tar.lz4"]:
        for each, (_, member) in one_part(archive, part).items():
            control += each == "global/pg_control"
            found[each] = member
    assert control == 2, "its own part has a copy"
    files = json.loads((archive.root / f"basebackups_005/{name}/files_metadata.json").read_text())
    assert set(files["Files"]) == {each for each, member in found.items() if member.isreg()}
    assert "TarFileSets" not in files
    relation = cluster.sql("select pg_relation_filepath('t')")
    assert relation.startswith(f"pg_tblspc/{oid}/") and found[relation].size == (cluster.data / relation).stat().st_size
    assert found["backup_label"].isreg() and found["tablespace_map"].size > 0 and found["pg_wal"].isdir()
    raw = sum(members_size(archive, part) for part in parts)
    assert abs(sentinel["UncompressedSize"] - raw) < 1024 * (len(parts) + 3), "what the server sent, ends of archives apart"


def one_part(archive, key):
    import tarfile
    with open(archive.root / "basebackups_005" / key, "rb") as stored, tarfile.open(fileobj=decoded(stored), mode="r|") as tar:
        return {member.name: (key, member) for member in tar}


def members_size(archive, key):
    with open(archive.root / "basebackups_005" / key, "rb") as stored:
        return len(decoded(stored).read())


def test_listed_and_removed_like_any(archive, cluster):
    push(cluster)
    archive.ok("backup-push", cluster.data, **cluster.connection())
    push(cluster, "--without-files-metadata", "--delta-from-name", archive.backups()[0], WALG_DELTA_MAX_STEPS=3)
    names = archive.backups()
    assert len(names) == 3 and not any("_D_" in name for name in names)
    assert [row["backup_name"] for row in archive.ok("backup-list", "--json").json()] == names
    assert archive.sentinel(names[2])["FilesMetadataDisabled"] is True
    assert not archive.holds(f"basebackups_005/{names[2]}/files_metadata.json")


def test_a_part_of_it_restored(scratch, archive, cluster):
    for database in ("app", "other"):
        cluster.sql(f"create database {database}")
        cluster.sql("create table t as select g from generate_series(1, 1000) g", database)
    cluster.sql("checkpoint")
    push(cluster)
    path = cluster.sql("select pg_relation_filepath('t')", "other")
    digest = cluster.digest("app")
    cluster.archive_all()
    cluster.stop()
    restored = scratch.restored(archive, "LATEST", "--restore-only", "app")
    assert not (restored.data / path).exists() and not (restored.data / "backup_manifest").exists()
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest("app") == digest


def commands_seen(cluster):
    return [line.split("received replication command: ")[1] for line in cluster.log_text().splitlines()
            if "received replication command: BASE_BACKUP" in line]


def test_the_command_that_the_server_sees(scratch, archive, major):
    cluster = scratch.cluster(archive, major=major, log_replication_commands="on")
    cluster.start()
    push(cluster, "--verify", WALG_DISK_RATE_LIMIT=100_000_000)
    seen, = commands_seen(cluster)
    assert "MAX_RATE 97656" in seen and "VERIFY_CHECKSUMS" not in seen and "TABLESPACE_MAP" in seen and "LABEL 'seawall " in seen
    archive.settings["WALG_DISK_RATE_LIMIT"] = 100_000_000
    result = push(cluster, "--turbo")
    unlimited = commands_seen(cluster)[1]
    assert "MAX_RATE" not in unlimited and ("VERIFY_CHECKSUMS" in unlimited) == (major >= 11), result


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(archive, cluster, number):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 40000); checkpoint")
    running = archive.start("backup-push", **cluster.connection(), WALG_DISK_RATE_LIMIT=2 * MIB)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    time.sleep(0.5)
    running.signal(number)
    result = running.wait(30 * SLOW)
    assert result.code == -number, result
    assert archive.backups() == [] and not [key for key in archive.keys() if "lease" in key]
    wait_until(lambda: cluster.sql("select count(*) from pg_stat_activity where backend_type = 'walsender'") == "0", 10,
               "the end of the backup on the server")
    cluster.sql("select pg_switch_wal()")
    push(cluster)
    assert len(archive.backups()) == 1


def test_a_server_that_ends_meanwhile(archive, cluster):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 40000); checkpoint")
    running = archive.start("backup-push", **cluster.connection(), WALG_DISK_RATE_LIMIT=2 * MIB)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    cluster.stop("immediate")
    result = running.wait(60 * SLOW)
    assert result.code == 1 and "take a base backup" in result.err, result
    assert archive.backups() == []


def test_an_existing_name_is_refused_before_anything_is_stored(archive, cluster):
    push(cluster)
    name, = archive.backups()
    next_segment = cluster.sql("select pg_walfile_name(pg_current_wal_insert_lsn())")
    taken = {f"base_{int(next_segment, 16) + step:024X}" for step in range(4)}
    for each in taken:
        (give(mkdir(archive.root / "basebackups_005" / each)) / "metadata.json").write_text("{}")
    refused(cluster, says=["in the archive already"])
    assert archive.backups() == [name]


def test_what_the_server_must_allow(archive, cluster):
    cluster.sql("create role poor login; grant pg_read_all_settings to poor")
    refused(cluster, says=['ALTER ROLE "poor" REPLICATION'], PGUSER="poor")
    cluster.sql("alter role poor replication")
    push(cluster, PGUSER="poor")
    cluster.stop()
    hba = cluster.data / "pg_hba.conf"
    hba.write_text("local all all trust\n")
    cluster.start()
    refused(cluster, says=["pg_hba.conf", "replication"])
    hba.write_text("local all all trust\nlocal replication all trust\n")
    cluster.stop()
    cluster.configure(max_wal_senders=0)
    cluster.start()
    refused(cluster, says="max_wal_senders")


def test_wal_that_does_not_arrive(archive, cluster):
    push(cluster)
    cluster.sql("alter system set archive_command = '/bin/false'")
    cluster.sql("select pg_reload_conf()")
    result = archive.fails("backup-push", **cluster.connection(), says=["did not reach the archive", "archive_command"],
                           SEAWALL_ARCHIVE_TIMEOUT="2s")
    assert len(archive.backups()) == 1, result
    assert not in_backup_mode(cluster)


def damage(cluster, sql):
    relation = cluster.sql(f"{sql}; checkpoint; select pg_relation_filepath('t')")
    cluster.restart()
    with open(cluster.data / relation, "r+b") as file:
        file.seek(3 * 8192 + 4000)
        file.write(b"DAMAGE")
    return relation


def test_a_bad_page_fails_the_backup_if_checks_were_asked_for(archive, cluster):
    damage(cluster, "create table t as select g, repeat('x', 100) from generate_series(1, 5000) g")
    push(cluster)
    result = archive.fails("backup-push", "--verify", **cluster.connection(), says="checksum")
    assert len(archive.backups()) == 1, result
    archive.fails("backup-push", **cluster.connection(), WALG_VERIFY_PAGE_CHECKSUMS="true", says="checksum")
    assert len(archive.backups()) == 1


def test_a_standby(scratch, archive, major):
    restored, digest = backup_of_a_standby(scratch, archive, major, remote=True)
    for left in ("standby.signal", "recovery.conf"):  # the server sends them as well
        if (restored.data / left).exists():
            os.remove(restored.data / left)
    assert_recovers_to(restored, digest)


def test_a_standby_promoted_meanwhile(scratch, archive, cluster):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 40000); checkpoint")
    push(cluster)
    first = archive.backups()
    standby = standby_of(scratch, archive, cluster)
    cluster.sql("create table u as select 1 n; checkpoint")
    cluster.archive_all()
    wait_until(lambda: standby.sql("select count(*) from pg_class where relname = 'u'") == "1", 30, "the standby")
    standby.sql("checkpoint")
    running = archive.start("backup-push", **standby.connection(), WALG_DISK_RATE_LIMIT=12 * MIB // SLOW)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    standby.pg_ctl("-w", "promote")
    result = running.wait(120 * SLOW)
    assert result.code == 1 and "promoted" in result.err, result
    assert archive.backups() == first


@pytest.mark.once
def test_walg_restores_it(scratch, archive, cluster, walg):
    from golden import sums
    from test_walg import recovered, restored_by
    cluster.sql("create table t as select g, md5(g::text) m from generate_series(1, 30000) g; checkpoint")
    push(cluster, WALG_TAR_SIZE_THRESHOLD=3 * MIB)
    cluster.sql("insert into t select g, 'later' from generate_series(1, 100) g")
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    theirs, ours = restored_by(scratch, archive, walg), restored_by(scratch, archive, None)
    have = sums(ours.data)
    assert {path: value for path, value in have.items() if not path.endswith("backup_manifest")} == sums(theirs.data)
    recovered(theirs, walg, digest)
    recovered(ours, None, digest)


@pytest.mark.once
def test_the_same_parts_as_walg_makes(scratch, archive, cluster, walg):
    """Both take a backup of the same quiet cluster: keys, members and lists are alike."""
    cluster.sql("create table t as select g, md5(g::text) m from generate_series(1, 30000) g; checkpoint")
    seen = []
    for program in (None, walg):
        archive.ok("backup-push", program=program, timeout=300, WALG_TAR_SIZE_THRESHOLD=3 * MIB, **cluster.connection())
        name = next(each for each in archive.backups() if each not in [one["name"] for one in seen])
        keys = [key.split("/")[-1] for key in archive.keys(f"basebackups_005/{name}/tar_partitions")]
        inside = {key: list(one_part(archive, f"{name}/tar_partitions/{key}")) for key in keys}
        files = json.loads((archive.root / f"basebackups_005/{name}/files_metadata.json").read_text())
        seen.append({"name": name, "inside": inside, "files": set(files["Files"]), "sentinel": set(archive.sentinel(name))})
    ours, theirs = seen
    assert ours["inside"].keys() == theirs["inside"].keys()
    assert sorted(sum(ours["inside"].values(), [])) == sorted(sum(theirs["inside"].values(), []))
    assert ours["files"] == theirs["files"] and ours["sentinel"] == theirs["sentinel"]
