"""backup-push of real servers: what is stored, what is refused, and what an interruption leaves."""
import json
import re
import signal
import tarfile
import time

import pytest
from seawall_harness import MIB, SLOW, give, mkdir, touch, wait_until


def push(cluster, *flags, **settings):
    return cluster.archive.ok("backup-push", cluster.data, *flags, **{**cluster.connection(), **settings})


def refused(cluster, *flags, says=(), directory=None, **settings):
    """backup-push fails, and the archive holds no more backups and no other bytes than before."""
    before = cluster.archive.contents()
    result = cluster.archive.fails("backup-push", directory or cluster.data, *flags, says=says,
                                   **{**cluster.connection(), **settings})
    assert cluster.archive.backups() == [key for key in cluster.archive.backups() if f"basebackups_005/{key}_backup_stop_sentinel.json" in before]
    after = cluster.archive.contents()
    assert {key: after[key] for key in before} == before
    return result


def in_backup_mode(cluster):
    """Whether any session still holds a backup open: a label says so, and until 14 the server itself."""
    sessions = cluster.sql("select count(*) from pg_stat_activity where application_name like 'seawall%' or query ~ 'backup_start|pg_start_backup'"
                           " and pid <> pg_backend_pid()")
    return sessions != "0" or (cluster.data / "backup_label").exists()


def members(archive, name):
    """Member name → part of a backup, read with tar and lz4."""
    found = {}
    for key in archive.keys(f"basebackups_005/{name}/tar_partitions"):
        with open(archive.root / key, "rb") as stored, tarfile.open(fileobj=decoded(stored), mode="r|") as tar:
            for member in tar:
                member.name = member.name or "/"  # tarfile strips it
                assert member.name not in found, f"{member.name} is in two parts"
                found[member.name] = (key.split("/")[-1], member)
    return found


def decoded(stored):
    import io
    import subprocess
    if stored.name.endswith(".lz4"):
        return io.BytesIO(subprocess.run(["lz4", "-dc"], stdin=stored, capture_output=True, check=True).stdout)
    return stored


def test_objects_of_a_backup(scratch, archive, cluster):
    cluster.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g; checkpoint")
    push(cluster, "--permanent", "--add-user-data", '{"b": [1, "x"], "a": null}', WALG_TAR_SIZE_THRESHOLD=5 * MIB)
    name, = archive.backups()
    keys = [key.removeprefix("basebackups_005/") for key in archive.keys("basebackups_005")]
    assert {f"{name}/metadata.json", f"{name}/files_metadata.json", f"{name}/seawall.json", f"{name}_backup_stop_sentinel.json",
            f"{name}/tar_partitions/pg_control.tar.lz4", f"{name}/tar_partitions/backup_label.tar.lz4",
            f"{name}/tar_partitions/part_001.tar.lz4", f"{name}/tar_partitions/part_002.tar.lz4"} <= set(keys)
    assert not [key for key in keys if "lease" in key], "the lease goes with the backup's end"
    times = {key: (archive.root / "basebackups_005" / key).stat().st_mtime_ns for key in keys}
    assert max(times, key=times.get) == f"{name}_backup_stop_sentinel.json", "the sentinel is the commit"

    sentinel = json.loads((archive.root / f"basebackups_005/{name}_backup_stop_sentinel.json").read_text())
    assert [key for key in sentinel if key in ("LSN", "PgVersion", "FinishLSN", "SystemIdentifier", "UncompressedSize", "CompressedSize",
            "DataCatalogSize", "UserData", "ChkpNum", "Version", "StartTime", "FinishTime", "DateFmt", "Hostname", "DataDir", "IsPermanent")] \
        == ["LSN", "PgVersion", "FinishLSN", "SystemIdentifier", "UncompressedSize", "CompressedSize", "DataCatalogSize", "UserData",
            "ChkpNum", "Version", "StartTime", "FinishTime", "DateFmt", "Hostname", "DataDir", "IsPermanent"]
    assert sentinel["UserData"] == {"b": [1, "x"], "a": None} and sentinel["IsPermanent"] is True and sentinel["Version"] == 2
    assert sentinel["SystemIdentifier"] == int(cluster.sql("select system_identifier from pg_control_system()"))
    assert sentinel["PgVersion"] == int(cluster.sql("show server_version_num"))
    assert sentinel["DataDir"] == str(cluster.data)
    metadata = json.loads((archive.root / f"basebackups_005/{name}/metadata.json").read_text())
    assert metadata["is_permanent"] is True and metadata["start_lsn"] == sentinel["LSN"]

    found = members(archive, name)
    files = json.loads((archive.root / f"basebackups_005/{name}/files_metadata.json").read_text())
    relation = "/" + cluster.sql("select pg_relation_filepath('t')")
    assert found[relation][0].startswith("part_") and found[relation][1].size == (cluster.data / relation[1:]).stat().st_size
    assert found["/global/pg_control"][0] == "pg_control.tar.lz4" and found["backup_label"][0] == "backup_label.tar.lz4"
    assert found["/base"][1].isdir() and not any(name.startswith("/pg_wal/") for name in found)
    in_parts = {member for member, (key, _) in found.items() if key.startswith("part_")}
    assert in_parts == set(files["Files"]), "Files lists what is in the parts"
    assert {member for members in files["TarFileSets"].values() for member in members} >= in_parts
    stamp = (cluster.data / relation[1:]).stat().st_mtime_ns
    assert f"{stamp % 10**9:09d}".rstrip("0") in files["Files"][relation]["MTime"], "to the nanosecond: deltas compare it"
    assert files["DatabasesByNames"]["postgres"]["tables_new"]["public.t"]["relfilenode"] == int(relation.split("/")[-1])


def test_listed(archive, cluster):
    push(cluster)
    push(cluster)
    names = archive.backups()
    assert len(names) == 2
    assert [row["backup_name"] for row in archive.ok("backup-list", "--json").json()] == names
    detail = archive.ok("backup-list", "--json", "--detail").json()
    assert [row["data_dir"] for row in detail] == [str(cluster.data)] * 2
    lines = archive.ok("backup-list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == names


def test_settings_for_deltas_are_accepted_and_a_full_is_taken(archive, cluster):
    push(cluster)
    result = push(cluster, "--rating-composer", "--delta-from-name", archive.backups()[0], WALG_DELTA_MAX_STEPS=5)
    assert result.err.count("WARNING") == 1 and "full" in result.err, result
    assert len(archive.backups()) == 2 and not any("_D_" in name for name in archive.backups())


def test_files_that_change_while_they_are_read(scratch, archive, cluster):
    """Tables grow, shrink and vanish below a slow backup; recovered, everything is right."""
    cluster.sql("create table grows(t text); create table shrinks as select repeat('x', 500) t from generate_series(1, 30000);"
                "create table goes as select repeat('y', 500) t from generate_series(1, 20000); checkpoint")
    running = archive.start("backup-push", cluster.data, **cluster.connection(), WALG_DISK_RATE_LIMIT=15 * MIB)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    cluster.sql("drop table goes; checkpoint")
    cluster.sql("delete from shrinks where ctid > '(10,0)'; vacuum (truncate on) shrinks")
    for _ in range(5):
        cluster.sql("insert into grows select repeat('z', 500) from generate_series(1, 5000)")
    cluster.sql("create table new as select g from generate_series(1, 1000) g")
    result = running.wait(120 * SLOW)
    assert result.code == 0, result
    cluster.archive_all()
    digest = cluster.digest()
    restored = scratch.restored(archive)
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_a_bad_page_is_found_and_recorded(scratch, archive, cluster):
    cluster.sql("create table t as select g, repeat('x', 100) from generate_series(1, 5000) g; checkpoint")
    relation = cluster.sql("select pg_relation_filepath('t')")
    cluster.restart()
    with open(cluster.data / relation, "r+b") as file:
        file.seek(3 * 8192 + 4000)
        file.write(b"DAMAGE")
    result = push(cluster)
    assert relation in result.err and "checksum" in result.err.lower(), result
    files = json.loads((archive.root / f"basebackups_005/{archive.backups()[0]}/files_metadata.json").read_text())
    assert files["Files"]["/" + relation]["CorruptBlocks"] == {"CorruptBlocksCount": 1, "SomeCorruptBlocks": [3]}
    others = [name for name, each in files["Files"].items() if "CorruptBlocks" in each]
    assert others == ["/" + relation], "no good page is called bad"
    quiet = push(cluster, WALG_VERIFY_PAGE_CHECKSUMS="false")
    assert "checksum" not in quiet.err.lower()


def test_no_page_is_called_bad_under_load(scratch, archive, cluster):
    cluster.pgbench("-i", "-q", "-s", 2)
    load = cluster.pgbench("-n", "-c", 3, "-T", 300, wait=False)
    try:
        for _ in range(2):
            result = push(cluster)
            assert "checksum" not in result.err.lower(), result
    finally:
        load.terminate()
        load.communicate()
    for name in archive.backups():
        assert "CorruptBlocks" not in (archive.root / f"basebackups_005/{name}/files_metadata.json").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(archive, cluster, number):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 40000); checkpoint")
    running = archive.start("backup-push", cluster.data, **cluster.connection(), WALG_DISK_RATE_LIMIT=2 * MIB)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    time.sleep(0.5)
    running.signal(number)
    result = running.wait(30 * SLOW)
    assert result.code == -number, result
    assert archive.backups() == []
    wait_until(lambda: not in_backup_mode(cluster), 10, "the end of the backup on the server")
    cluster.sql("select pg_switch_wal()")
    push(cluster)
    assert len(archive.backups()) == 1


def test_killed_it_leaves_no_backup_and_the_next_one_works(archive, cluster):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 40000); checkpoint")
    running = archive.start("backup-push", cluster.data, **cluster.connection(), WALG_DISK_RATE_LIMIT=2 * MIB)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    time.sleep(0.5)
    running.signal(signal.SIGKILL)
    running.wait(30)
    assert archive.backups() == []
    archive.fails("backup-fetch", cluster.home / "r", "LATEST", says="backup")
    push(cluster)
    assert len(archive.backups()) == 1


def standby_of(scratch, archive, primary, **rest):
    """A running standby made from the archive; it follows through the primary's socket."""
    standby = scratch.restored(archive, major=primary.major, **rest)
    standby.recovery(standby=True, primary_conninfo=f"host={primary.sockets} user=postgres")
    standby.start(archive_mode="on")
    wait_until(lambda: standby.in_recovery() == "t", 60, "the standby")
    return standby


def backup_of_a_standby(scratch, archive, major, remote=False):
    """Taken on a standby while its primary works; returns (what it restores to, the digest that is expected)."""
    primary = scratch.cluster(archive, major=major)
    primary.start()
    archive.ok("backup-push", *([] if remote else [primary.data]), **primary.connection())
    standby = standby_of(scratch, archive, primary)
    primary.sql("create table t as select g from generate_series(1, 5000) g; checkpoint")
    primary.archive_all()
    wait_until(lambda: standby.sql("select count(*) from pg_class where relname = 't'") == "1", 30, "the table on the standby")
    standby.sql("checkpoint")
    running = archive.start("backup-push", *([] if remote else [standby.data]), **standby.connection())
    end = time.monotonic() + 60 * SLOW
    while running.running() and time.monotonic() < end:  # the WAL that the backup needs comes from the primary
        primary.switch_wal()
        time.sleep(0.3)
    result = running.wait(5)
    assert result.code == 0, result
    assert len(archive.backups()) == 2
    primary.archive_all()
    digest = primary.digest()
    primary.stop()
    standby.kill()
    return scratch.restored(archive, major=major), digest


def assert_recovers_to(restored, digest):
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_backup_of_a_standby(scratch, archive, major):
    restored, digest = backup_of_a_standby(scratch, archive, major)
    assert not (restored.data / "standby.signal").exists()
    assert_recovers_to(restored, digest)


def test_an_idle_primary_is_pointed_at(scratch, archive, cluster):
    push(cluster)
    standby = standby_of(scratch, archive, cluster)
    cluster.sql("create table t as select 1 n; checkpoint")
    lsn = cluster.lsn()
    wait_until(lambda: standby.sql(f"select pg_last_wal_replay_lsn() >= '{lsn}'") == "t", 30, "the standby")
    standby.sql("checkpoint")
    result = archive.fails("backup-push", standby.data, says=["pg_switch_wal", "SEAWALL_ARCHIVE_TIMEOUT"],
                           **standby.connection(), SEAWALL_ARCHIVE_TIMEOUT="3s")
    assert len(archive.backups()) == 1, result
    assert not in_backup_mode(standby)


def test_a_standby_promoted_meanwhile(scratch, archive, cluster):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 40000); checkpoint")
    push(cluster)
    first = archive.backups()
    standby = standby_of(scratch, archive, cluster)
    cluster.sql("create table u as select 1 n; checkpoint")
    cluster.archive_all()
    wait_until(lambda: standby.sql("select count(*) from pg_class where relname = 'u'") == "1", 30, "the standby")
    standby.sql("checkpoint")
    running = archive.start("backup-push", standby.data, **standby.connection(), WALG_DISK_RATE_LIMIT=12 * MIB // SLOW)
    wait_until(lambda: "Started backup" in running.text(), 30, "the start of the backup")
    standby.pg_ctl("-w", "promote")
    result = running.wait(120 * SLOW)
    assert result.code == 1, result
    assert archive.backups() == first
    assert "promoted" in result.err, result
    parts = [key for key in archive.keys("basebackups_005") if "/tar_partitions/" in key and first[0] not in key]
    assert parts, "the parts stay for who knows better"


def test_wal_that_does_not_arrive(archive, cluster):
    push(cluster)
    cluster.sql("alter system set archive_command = '/bin/false'")
    cluster.sql("select pg_reload_conf()")
    refused(cluster, says=["did not reach the archive", "archive_command"], SEAWALL_ARCHIVE_TIMEOUT="2s")
    assert not in_backup_mode(cluster)


def test_archiving_not_configured_is_a_warning(scratch):
    archive = scratch.archive()
    cluster = scratch.cluster(None, archive_mode="off")
    cluster.archive = archive
    cluster.start()
    result = push(cluster)
    assert "WARNING" in result.err and "archive_mode" in result.err
    assert len(archive.backups()) == 1


def test_archive_library_counts_as_archiving(scratch, archive, cluster):
    cluster.stop()
    cluster.configure("postgresql.auto.conf", archive_command="", archive_library="basic_archive",
                      **{"basic_archive.archive_directory": give(mkdir(cluster.home / "elsewhere"))})
    cluster.start()
    result = archive.run("backup-push", cluster.data, **cluster.connection(), SEAWALL_ARCHIVE_TIMEOUT="1s")
    assert "not configured" not in result.err and "did not reach the archive" in result.err, result


def test_no_storage(cluster):
    cluster.archive.fails("backup-push", cluster.data, says="WALG_FILE_PREFIX", WALG_FILE_PREFIX=None, **cluster.connection())
    cluster.archive.fails("backup-push", cluster.data, says="/nowhere", WALG_FILE_PREFIX="/nowhere", **cluster.connection())
    cluster.archive.fails("backup-list", says="WALG_FILE_PREFIX", WALG_FILE_PREFIX=None)


def test_unknown_flag_and_command(archive, cluster):
    result = refused(cluster, "--permanant")
    assert "--permanent" in result.err + result.out, result
    result = archive.run("backup-psuh", cluster.data)
    assert result.code == 1 and "backup-push" in result.err + result.out, result


def test_malformed_values(cluster):
    refused(cluster, says=["WALG_UPLOAD_CONCURRENCY", "many"], WALG_UPLOAD_CONCURRENCY="many")
    refused(cluster, says=["SEAWALL_ARCHIVE_TIMEOUT", "soon"], SEAWALL_ARCHIVE_TIMEOUT="soon")
    refused(cluster, says="WALG_TAR_SIZE_THRESHOLD", WALG_TAR_SIZE_THRESHOLD="-5")
    refused(cluster, says=["WALG_COMPRESSION_METHOD", "rar"], WALG_COMPRESSION_METHOD="rar")
    refused(cluster, "--add-user-data", "{not json", says="user data")


def test_two_storages_and_unknown_settings_are_warned_about(archive, cluster):
    result = push(cluster, WALG_SSH_PREFIX="ssh://nowhere/x", WALG_UPLOAD_CONCURENCY=3)
    assert "WALG_SSH_PREFIX" in result.err and "WALG_FILE_PREFIX" in result.err, result
    assert "WALG_UPLOAD_CONCURENCY" in result.err and "WALG_UPLOAD_CONCURRENCY" in result.err, result
    assert len(archive.backups()) == 1


def test_data_directory_of_another_cluster(scratch, cluster):
    other = scratch.cluster(None, fresh=True)
    refused(cluster, says=[str(other.data), str(cluster.data)], directory=other.data)
    refused(cluster, says="nowhere", directory=cluster.home / "nowhere")
    refused(cluster, says=str(cluster.home), directory=cluster.home)


def test_archive_of_another_cluster(scratch, archive, cluster):
    push(cluster)
    other = scratch.cluster(archive, fresh=True)
    other.configure(archive_command="/bin/true")
    other.start()
    refused(other, says="system identifier")


def test_unreadable_file(cluster):
    cluster.sql("create table t as select 1 n; checkpoint")
    relation = cluster.data / cluster.sql("select pg_relation_filepath('t')")
    relation.chmod(0)
    refused(cluster, says=[relation.name, "permission denied"])
    assert not in_backup_mode(cluster)
    relation.chmod(0o600)


def test_server_not_reachable(cluster):
    refused(cluster, says="/nowhere", PGHOST="/nowhere")
    cluster.stop()
    refused(cluster, says=str(cluster.sockets))


def test_without_privilege(archive, cluster):
    cluster.sql("create role poor login")
    refused(cluster, says=["pg_read_all_settings", "poor"], PGUSER="poor")
    cluster.sql("create role backup login; grant execute on function pg_backup_start, pg_backup_stop, pg_switch_wal to backup;"
                "grant pg_read_all_settings to backup")
    push(cluster, PGUSER="backup")
    assert len(archive.backups()) == 1


def test_minimal_wal(scratch, archive, cluster):
    cluster.stop()
    cluster.configure(archive_mode="off", wal_level="minimal", max_wal_senders=0)
    cluster.start()
    refused(cluster, says=["wal_level", "replica"])


def test_timeouts_of_the_role_do_not_end_a_backup(archive, cluster):
    cluster.sql("create table t as select repeat('x', 500) t from generate_series(1, 20000); checkpoint;"
                "create role hasty superuser login; alter role hasty set statement_timeout = '300ms';"
                "alter role hasty set idle_in_transaction_session_timeout = '300ms'; alter role hasty set lock_timeout = '300ms';"
                "alter role hasty set idle_session_timeout = '300ms'")
    push(cluster, PGUSER="hasty", WALG_DISK_RATE_LIMIT=15 * MIB)
    assert len(archive.backups()) == 1


@pytest.mark.once
def test_no_space_left_in_the_archive(archive, cluster, small_disk):
    archive.root = small_disk(4)
    archive.settings["WALG_FILE_PREFIX"] = str(archive.root)
    cluster.sql("create table t as select md5(g::text) || md5((g+1)::text) t from generate_series(1, 100000) g; checkpoint")
    archive.fails("backup-push", cluster.data, says="space", **cluster.connection())
    assert archive.backups() == []
    assert not in_backup_mode(cluster)


def test_settings_from_a_file(scratch, archive, cluster):
    """JSON, YAML and TOML; PG* keys in it reach libpq; the environment wins over it, a flag over both."""
    pairs = {"WALG_FILE_PREFIX": str(archive.root), "WALG_PG_WAL_SIZE": "1", "PGHOST": str(cluster.sockets), "PGUSER": "postgres",
             "WALG_COMPRESSION_METHOD": "none"}
    texts = {"json": json.dumps(pairs), "yaml": "".join(f'{key}: "{value}"\n' for key, value in pairs.items()),
             "toml": "".join(f'{key} = "{value}"\n' for key, value in pairs.items())}
    for kind, text in texts.items():
        path = give(touch(scratch.path / f"settings.{kind}"))
        path.write_text(text)
        archive.ok("--config", path, "backup-push", cluster.data, WALG_FILE_PREFIX=None, WALG_PG_WAL_SIZE=None)
    names = archive.backups()
    assert len(names) == 3 and all((archive.root / f"basebackups_005/{name}/tar_partitions/part_001.tar").exists() for name in names)
    archive.ok("backup-push", cluster.data, WALG_CONFIG_PATH=path, WALG_FILE_PREFIX=None, WALG_COMPRESSION_METHOD="lz4")
    assert (archive.root / f"basebackups_005/{archive.backups()[-1]}/tar_partitions/part_001.tar.lz4").exists()
    archive.ok("backup-push", cluster.data, "--walg-compression-method", "none", "--config", path, WALG_COMPRESSION_METHOD="lz4")
    assert (archive.root / f"basebackups_005/{archive.backups()[-1]}/tar_partitions/part_001.tar").exists()
    path.write_text("{")
    result = archive.ok("--config", path, "backup-list")
    assert "settings.toml" in result.err


def test_secrets_stay_out_of_what_is_printed(archive):
    result = archive.run("help", "PGPASSWORD", PGPASSWORD="hunter2-secret")
    assert "hunter2" not in result.out + result.err
    assert str(archive.root) in archive.ok("help", "WALG_FILE_PREFIX").out


def test_log_formats(archive, cluster):
    result = push(cluster, "--log-format", "json")
    lines = [json.loads(line) for line in result.err.splitlines() if line.strip()]
    assert lines and all(isinstance(line, dict) for line in lines)
    assert re.match(r"INFO: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} ", push(cluster).err)
    assert "INFO" not in push(cluster, WALG_LOG_LEVEL="ERROR").err
