"""Backups in forms that are not the usual one: without their lists, with other WAL segments, left unfinished."""
import ciphers
import pytest
import seawall_harness as harness


@pytest.mark.parametrize("how", [["--without-files-metadata"], {"WALG_WITHOUT_FILES_METADATA": "true"}], ids=["flag", "setting"])
def test_a_backup_without_its_list_of_files(scratch, archive, cluster, how):
    ciphers.fill(cluster)
    flags, settings = (how, {}) if isinstance(how, list) else ([], how)
    archive.ok("backup-push", cluster.data, *flags, **cluster.connection(), **settings)
    name, = archive.backups()
    assert archive.sentinel(name)["FilesMetadataDisabled"] is True
    assert not archive.holds(f"basebackups_005/{name}/files_metadata.json")
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    ciphers.recover(scratch, archive, digest)


@pytest.mark.once
@pytest.mark.parametrize("mib", [4, pytest.param(64, marks=pytest.mark.long), pytest.param(1024, marks=pytest.mark.long)])
@pytest.mark.parametrize("codec", ["zstd"])
def test_other_wal_segment_sizes(scratch, codec, mib):
    archive = scratch.archive(segment_mib=mib, WALG_COMPRESSION_METHOD=codec)
    cluster = scratch.cluster(archive, segment_mib=mib, min_wal_size=f"{2 * mib}MB", max_wal_size=f"{4 * mib}MB")
    cluster.start()
    ciphers.fill(cluster)
    archive.ok("backup-push", cluster.data, timeout=600, **cluster.connection())
    cluster.sql("insert into t select g, 'later' from generate_series(1, 100) g")
    name = cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    archive.ok("wal-fetch", name, scratch.path / "back", WALG_DOWNLOAD_CONCURRENCY=1)
    assert (scratch.path / "back").stat().st_size == mib * harness.MIB
    ciphers.recover(scratch, archive, digest)


def test_what_a_broken_off_push_left_is_no_backup(scratch, archive, cluster):
    """Parts without a sentinel, as a push that was killed leaves them; WAL-G's and ours look alike."""
    archive.ok("backup-push", cluster.data, **cluster.connection())
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.stop()
    first, second = archive.backups()
    (archive.root / f"basebackups_005/{second}_backup_stop_sentinel.json").unlink()
    assert [each["backup_name"] for each in archive.ok("backup-list", "--json").json()] == [first]
    archive.fails("backup-fetch", scratch.path / "a", second, says=[second, "not finished", "_backup_stop_sentinel.json"])
    archive.ok("backup-fetch", scratch.path / "b", "LATEST")
    assert first.removeprefix("base_") in (scratch.path / "b/backup_label").read_text()


def test_a_sentinel_whose_parts_are_gone_is_refused(scratch, archive, cluster):
    """As a deletion that was broken off leaves it."""
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.stop()
    name, = archive.backups()
    for path in (archive.root / f"basebackups_005/{name}/tar_partitions").iterdir():
        path.unlink()
    archive.fails("backup-fetch", scratch.path / "a", "LATEST", says=[name, "tar_partitions"])
    assert not (scratch.path / "a/PG_VERSION").exists()


def test_a_changed_document_of_ours_is_refused_by_its_digest(scratch, archive, cluster):
    """Each is valid JSON all the same; src/ops/damage_test.cc tries every object in every encoding."""
    archive.ok("backup-push", cluster.data, **cluster.connection())
    cluster.stop()
    name, = archive.backups()
    for key, old, new in ((f"{name}_backup_stop_sentinel.json", b'"Hostname":"', b'"Hostname":"x'),
                          (f"{name}/files_metadata.json", b'"MTime":"2', b'"MTime":"3'),
                          (f"{name}/seawall.json", b'"tool":"seawall', b'"tool":"seaweed')):
        path = archive.root / "basebackups_005" / key
        good = path.read_bytes()
        assert old in good
        path.write_bytes(good.replace(old, new, 1))
        archive.fails("backup-fetch", scratch.path / "a", name, says=[key, "digest"])
        assert not (scratch.path / "a/PG_VERSION").exists()
        path.write_bytes(good)
    archive.ok("backup-fetch", scratch.path / "a", name)
