"""verify: a whole archive is said to be whole, and every kind of damage is found and named."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess

import golden
import pytest
import seawall_harness as harness
from s3_harness import double_archive

WHOLE, DAMAGED, INCOMPLETE = 0, 8, 9
PAGE = 8192


def verified(archive, *flags, code, **settings):
    result = archive.run("verify", "--json", *flags, **settings)
    assert result.code == code, result
    report = result.json()
    assert report["state"] == {WHOLE: "whole", DAMAGED: "damaged", INCOMPLETE: "incomplete"}[code]
    return report


def said(report, *kinds):
    return [(each["object"], each["text"]) for each in report["findings"] if each["kind"] in (kinds or ("damaged", "incomplete"))]


@pytest.fixture(scope="session")
def made(session_directory, program):
    """Two backups, WAL across a promotion, and the archive they are in; tests work on copies."""
    path = harness.give(harness.mkdir(session_directory / "verify"))
    scratch = harness.Scratch(path, program)
    archive = scratch.archive()
    cluster = scratch.cluster(archive)
    cluster.start()
    try:
        cluster.pgbench("-i", "-q", "-s", 2)
        archive.ok("backup-push", cluster.data, **cluster.connection())
        cluster.pgbench("-n", "-t", 300)
        cluster.sql("select pg_logical_emit_message(true, 'long', repeat('x', 2500000))")
        archive.ok("backup-push", cluster.data, **cluster.connection())
        cluster.pgbench("-n", "-t", 300)
        cluster.archive_all()
        cluster.stop()
        standby = scratch.restored(archive)
        standby.recovery()
        standby.start()
        standby.wait_promoted()
        standby.pgbench("-n", "-t", 300)
        standby.archive_all()
        harness.wait_until(lambda: archive.holds("wal_005/00000002.history.lz4"), what="the history in the archive")
        standby.stop()
    finally:
        scratch.end()
    return archive


@pytest.fixture
def archive(scratch, made):
    copy = scratch.archive(name="verified", **made.settings)
    shutil.rmtree(copy.root)
    shutil.copytree(made.root, copy.root, symlinks=True)
    harness.give(copy.root, recursive=True)
    copy.settings["WALG_FILE_PREFIX"] = str(copy.root)
    return copy


def change(archive, key, edit):
    path = archive.root / key
    raw = bytearray(path.read_bytes())
    path.write_bytes(edit(raw) or raw)


def flip(at):
    def edit(raw):
        raw[at if at >= 0 else len(raw) + at] ^= 1
    return edit


def decoded(archive, key):
    done = subprocess.run([archive.scratch.program, "st", "cat", "--decompress", key], env=archive.environment(),
                          capture_output=True, check=True, **harness.other_user())
    return bytearray(done.stdout)


def rewrite(archive, key, raw):
    """The object with another content, whole as far as its compression goes."""
    done = subprocess.run([archive.scratch.program, "st", "put", "-f", "-s", key.removesuffix(".lz4")], input=bytes(raw),
                          env=archive.environment(), capture_output=True, check=False, **harness.other_user())
    assert done.returncode == 0, done.stderr


def backups(archive):
    older, newer = archive.backups()
    return older, newer


def parts(archive, backup):
    return [key for key in archive.keys(f"basebackups_005/{backup}/tar_partitions") if "part_" in key]


def segments(archive, timeline=1):
    return [key for key in archive.keys("wal_005") if re.fullmatch(rf"wal_005/{timeline:08X}[0-9A-F]{{16}}\.lz4", key)]


def members(raw):
    """(name, offset of the body, its length) of a tar."""
    at = 0
    while at + 512 <= len(raw) and raw[at]:
        length = int(bytes(raw[at + 124:at + 135]).split(b"\0")[0] or b"0", 8)
        yield bytes(raw[at:at + 100]).split(b"\0")[0].decode(), at + 512, length
        at += 512 + (length + 511) // 512 * 512


def test_a_whole_archive(archive, made):
    text = archive.ok("verify").out
    full, newer = backups(archive)
    assert re.search(rf"^{full} +\d+ +[\d.]+ MiB +\S+Z whole$", text, re.M), text
    assert "The archive is whole" in text
    report = verified(archive, code=WHOLE)
    assert {each["name"]: each["state"] for each in report["backups"]} == {full: "whole", newer: "whole"}
    assert [each["timeline"] for each in report["wal"]] == [1, 2]
    assert report["findings"] == [] and report["pages"] > 3000 and report["wal_records"] > 5000
    for each in report["wal"]:
        assert each["objects"] == len(segments(archive, each["timeline"]))
    new = [key for key in archive.keys() if key not in made.keys()]
    assert len(new) == 1 and new[0].startswith("seawall_005/verified/")


def test_one_backup_with_what_it_needs(archive):
    older, newer = backups(archive)
    for name, asked in ((newer, "LATEST"), (older, older)):
        report = verified(archive, "--backup", asked, code=WHOLE)
        assert [each["name"] for each in report["backups"]] == [name]
        assert [each["first"] for each in report["wal"]] == [name.removeprefix("base_")]
    archive.fails("verify", "--backup", "base_0000000100000000000000FF", code=4, says="does not exist")
    archive.fails("verify", "--backup", older, "--all", code=2, says="--all")


@pytest.fixture
def chain(scratch):
    """A full backup and a delta on it, made by WAL-G."""
    unpacked = golden.unpack("codec-none", harness.mkdir(scratch.path / "golden"))
    return golden.CaseArchive(scratch, "codec-none", unpacked, copy=False)


def test_a_delta_is_no_better_than_what_it_stands_on(chain):
    full, delta = sorted(chain.backups(), key=len)
    assert [each["name"] for each in verified(chain, "--backup", delta, code=WHOLE)["backups"]] == [full, delta]
    part = parts(chain, full)[0]
    good = (chain.root / part).read_bytes()
    change(chain, part, flip(200))  # in a tar header
    report = verified(chain, "--backup", delta, code=DAMAGED)
    assert {each["name"]: each["state"] for each in report["backups"]} == {full: "damaged", delta: "damaged"}
    (chain.root / part).write_bytes(good)
    for key in chain.keys("basebackups_005"):
        if key.split("/")[1] in (full, f"{full}_backup_stop_sentinel.json"):
            (chain.root / key).unlink()
    found = said(verified(chain, "--backup", delta, code=INCOMPLETE))
    assert any(delta in key and full in text for key, text in found), found


def test_an_increment(scratch):
    """A page of a delta, and the head of an increment."""
    unpacked = golden.unpack("lz4-delta", harness.mkdir(scratch.path / "golden"))
    archive = golden.CaseArchive(scratch, "lz4-delta", unpacked, copy=False)
    delta = "base_000000010000000000000017_D_000000010000000000000015"
    lists = json.loads((archive.root / f"basebackups_005/{delta}/files_metadata.json").read_text())
    incremented = [name for name, entry in lists["Files"].items() if entry.get("IsIncremented")]
    for part in parts(archive, delta):
        good = decoded(archive, part)
        for name, at, length in members(good):
            pages = struct.unpack_from("<I", good, at + 12)[0] if name in incremented and length > PAGE else 0
            if pages:
                break
        else:
            continue
        block, = struct.unpack_from("<I", good, at + 16)
        for offset, words in ((16 + 4 * pages + 4000, f"wrong checksum: block {block}"), (0, "increment")):
            raw = bytearray(good)
            raw[at + offset] ^= 1
            rewrite(archive, part, raw)
            found = said(verified(archive, "--backup", delta, code=DAMAGED))
            assert [each for each in found if each[0] == part and name.lstrip("/") in each[1] and words in each[1]], found
        return
    raise AssertionError("the delta has no increment")


def test_a_bit_in_a_part(archive):
    full, newer = backups(archive)
    part = parts(archive, full)[0]
    change(archive, part, flip(os.path.getsize(archive.root / part) // 2))
    report = verified(archive, code=DAMAGED)
    assert part in [key for key, _ in said(report, "damaged")]
    states = {each["name"]: each["state"] for each in report["backups"]}
    assert states == {full: "damaged", newer: "whole"}
    text = archive.fails("verify", code=DAMAGED).out
    assert re.search(rf"^damaged +.*{re.escape(part)}", text, re.M) and "The archive is damaged" in text


def test_a_part_that_is_shorter(archive):
    full, _ = backups(archive)
    part = parts(archive, full)[0]
    change(archive, part, lambda raw: raw[:-100])
    assert any(key == part and "were stored" in text for key, text in said(verified(archive, code=DAMAGED)))


@pytest.mark.parametrize("name", ["part_001.tar.lz4", "pg_control.tar.lz4", "backup_label.tar.lz4"])
def test_a_part_that_is_gone(archive, name):
    full, _ = backups(archive)
    key = f"basebackups_005/{full}/tar_partitions/{name}"
    (archive.root / key).unlink()
    report = verified(archive, code=INCOMPLETE)
    assert key in [each for each, _ in said(report, "incomplete")], report["findings"]


def test_documents(archive):
    full, _ = backups(archive)
    for name, edit, code in ((f"{full}/files_metadata.json", flip(100), DAMAGED),
                             (f"{full}/seawall.json", lambda raw: raw[:-50], DAMAGED),
                             (f"{full}/metadata.json", lambda raw: raw[:-5], DAMAGED),
                             (f"{full}_backup_stop_sentinel.json", lambda raw: raw[:-5], DAMAGED)):
        key = f"basebackups_005/{name}"
        good = (archive.root / key).read_bytes()
        change(archive, key, edit)
        assert key in [each for each, _ in said(verified(archive, code=code))], name
        (archive.root / key).write_bytes(good)


def test_a_file_that_is_not_what_was_stored(archive):
    """Whole for codec and tar; the object's digest and the file's tell."""
    full, _ = backups(archive)
    for part in parts(archive, full):
        raw = decoded(archive, part)
        found = [each for each in members(raw) if each[0].endswith("PG_VERSION")]
        if found:
            break
    name, at, _ = found[0]
    raw[at] ^= 1
    rewrite(archive, part, raw)
    texts = [text for key, text in said(verified(archive, code=DAMAGED)) if key == part]
    assert texts and any(name.lstrip("/") in text or "were stored" in text or "digest" in text for text in texts)


def relation_page(raw, wanted=3):
    """(member, offset in the part, block) of a page of an ordinary table."""
    for name, at, length in members(raw):
        if re.search(r"base/\d+/\d+$", name) and length >= PAGE * (wanted + 1):
            return name, at + PAGE * wanted, wanted
    raise AssertionError("no large relation in this part")


def test_a_page_with_a_wrong_checksum(archive):
    """Without seawall.json, as in WAL-G's archives, the page alone tells."""
    full, _ = backups(archive)
    (archive.root / f"basebackups_005/{full}/seawall.json").unlink()
    part = max(parts(archive, full), key=lambda key: os.path.getsize(archive.root / key))
    raw = decoded(archive, part)
    name, at, block = relation_page(raw)
    raw[at + 4000] ^= 0x10
    rewrite(archive, part, raw)
    found = said(verified(archive, "--backup", full, code=DAMAGED))
    assert found == [(part, f"{name.lstrip('/')}: 1 pages have a wrong checksum: block {block}")]


def test_a_page_as_new_as_the_backup_is_restored_by_wal(archive):
    full, _ = backups(archive)
    (archive.root / f"basebackups_005/{full}/seawall.json").unlink()
    part = max(parts(archive, full), key=lambda key: os.path.getsize(archive.root / key))
    raw = decoded(archive, part)
    _, at, _ = relation_page(raw)
    raw[at:at + 8] = struct.pack("<II", 0xFF, 0)  # pd_lsn
    rewrite(archive, part, raw)
    assert said(verified(archive, "--backup", full, code=WHOLE)) == []


def test_bad_pages_of_the_cluster_itself(scratch):
    archive = scratch.archive(name="bad")
    cluster = scratch.cluster(archive)
    cluster.start()
    cluster.pgbench("-i", "-q", "-s", 1)
    path = cluster.data / cluster.sql("select pg_relation_filepath('pgbench_accounts')")
    cluster.stop()
    with open(path, "r+b") as file:
        for block in (5, 9):
            file.seek(block * PAGE + 5000)
            file.write(b"rotten")
    cluster.start()
    archive.ok("backup-push", cluster.data, "--verify", **cluster.connection())
    cluster.stop()
    (key, text), = said(verified(archive, code=DAMAGED))
    assert key.endswith(".tar.lz4")
    assert text == f"{path.relative_to(cluster.data)}: 2 pages have a wrong checksum: block 5, 9; they had it when the backup was taken"


def test_a_bit_in_a_stored_segment(archive):
    key = segments(archive)[2]
    change(archive, key, flip(-20))
    report = verified(archive, code=DAMAGED)
    assert key in [each for each, _ in said(report, "damaged")]
    states = [(each["first"], each["state"]) for each in report["wal"] if each["timeline"] == 1]
    name = key.split("/")[1].removesuffix(".lz4")
    assert (name, "damaged") in states


def test_a_record_with_a_wrong_checksum(archive):
    """Whole as far as compression goes."""
    key = segments(archive)[3]
    raw = decoded(archive, key)
    at = 5 * PAGE + 3000
    while not raw[at]:
        at += 1
    raw[at] ^= 1
    rewrite(archive, key, raw)
    found = said(verified(archive, code=DAMAGED), "damaged")
    assert any(each == key and re.search(r"at 0/[0-9A-F]+: ", text) for each, text in found), found


def test_a_record_that_crosses_segments(archive):
    """The long message lies in three segments; a byte in the middle one is noticed where its record ends."""
    for key in segments(archive):
        raw = decoded(archive, key)
        if raw.count(b"x" * 4000) > 100:
            break
    else:
        raise AssertionError("the long record is not there")
    at = raw.index(b"x" * 100, len(raw) // 2)
    raw[at] = ord("y")
    rewrite(archive, key, raw)
    found = said(verified(archive, code=DAMAGED))
    assert any("begun in an earlier segment) has a wrong checksum" in text for _, text in found), found


def test_pages_of_wal(archive):
    key = segments(archive)[3]
    raw = decoded(archive, key)
    good = bytes(raw)
    for offset, value, words in ((8, struct.pack("<Q", 0x77770000), "belongs to"), (0, b"\x0d\xd1", "magic"),
                                 (4, struct.pack("<I", 9), "timeline 9")):
        raw[2 * PAGE + offset:2 * PAGE + offset + len(value)] = value
        rewrite(archive, key, raw)
        assert any(each == key and words in text for each, text in said(verified(archive, code=DAMAGED))), words
        raw = bytearray(good)


def test_a_segment_that_is_gone(archive):
    full, _ = backups(archive)
    keys = segments(archive)
    start = keys.index(f"wal_005/{full.removeprefix('base_')}.lz4")
    (archive.root / keys[-3]).unlink()
    report = verified(archive, code=INCOMPLETE)
    assert said(report) == [(keys[-3].removesuffix(".lz4"), "the segment is missing; recovery cannot pass it")]
    (archive.root / keys[start]).unlink()
    found = said(verified(archive, code=INCOMPLETE))
    assert any(full in key and "cannot become consistent" in text for key, text in found), found


def test_wal_before_the_oldest_backup_may_have_gaps(archive):
    full, _ = backups(archive)
    keys = segments(archive)
    start = keys.index(f"wal_005/{full.removeprefix('base_')}.lz4")
    assert start > 1, "the cluster began with too little WAL"
    (archive.root / keys[start - 1]).unlink()
    report = verified(archive, code=WHOLE)
    assert [key for key, _ in said(report, "remark")] == [keys[start - 1].removesuffix(".lz4")]


def test_segments_that_were_mixed_up(archive):
    keys = segments(archive)
    shutil.copy(archive.root / keys[-2], archive.root / keys[-3])
    assert keys[-3] in [key for key, _ in said(verified(archive, code=DAMAGED))]


def test_an_empty_segment(archive):
    key = segments(archive)[-3]
    (archive.root / key).write_bytes(b"")
    report = verified(archive, code=DAMAGED)
    assert any(each == key.removesuffix(".lz4") and "0 bytes" in text for each, text in said(report, "damaged"))


def test_the_end_of_a_timeline_and_the_next(archive):
    """What is missing between them, and the history."""
    new = segments(archive, 2)
    (archive.root / new[0]).unlink()
    found = said(verified(archive, code=INCOMPLETE))
    assert (new[0].removesuffix(".lz4"), "the segment is missing; recovery cannot pass it") in found
    (archive.root / "wal_005/00000002.history.lz4").unlink()
    found = said(verified(archive, code=INCOMPLETE))
    assert any(key == "wal_005/00000002.history" for key, _ in found)


def test_a_broken_history(archive):
    rewrite(archive, "wal_005/00000002.history.lz4", b"no history\n")
    assert "wal_005/00000002.history.lz4" in [key for key, _ in said(verified(archive, code=DAMAGED))]


def test_foreign_wal(scratch, archive):
    other = scratch.archive(name="other")
    cluster = scratch.cluster(other, fresh=True)
    cluster.start()
    while len(segments(other)) < 4:
        cluster.archive_all()
    cluster.stop()
    key = segments(other)[-1]
    shutil.copy(other.root / key, archive.root / key)
    found = said(verified(archive, code=DAMAGED))
    assert any(each == key and ("system identifier" in text or "one before it" in text) for each, text in found), found


def test_what_was_verified_is_remembered(archive):
    full, newer = backups(archive)
    verified(archive, code=WHOLE)
    report = verified(archive, "--since", "1h", code=WHOLE)
    assert not any(each["read_now"] for each in [*report["backups"], *report["wal"]])
    assert report["wal_records"] == 0 and len(report["wal"]) == 2
    part = parts(archive, full)[0]
    change(archive, part, flip(1000))
    assert verified(archive, "--since", "1h", code=WHOLE)["findings"] == [], "what was found whole is not read again"
    verified(archive, "--since", "0s", code=DAMAGED)
    # Another backup under the name is not the one that was found whole.
    os.utime(archive.root / f"basebackups_005/{full}_backup_stop_sentinel.json")
    report = verified(archive, "--since", "1h", code=DAMAGED)
    assert {each["name"]: each["read_now"] for each in report["backups"]} == {full: True, newer: False}
    assert len(archive.keys("seawall_005/verified")) == 1
    archive.fails("verify", "--since", "soon", code=2, says="neither a time")


def test_a_run_that_was_stopped_goes_on(archive):
    running = archive.start("verify", WALG_NETWORK_RATE_LIMIT="2000000", WALG_DOWNLOAD_CONCURRENCY=1)
    harness.wait_until(lambda: "Verifying backup" in running.text(), what="its beginning", every=0.01)
    running.signal(signal.SIGTERM)
    result = running.wait()
    assert result.code == -signal.SIGTERM
    since, = re.findall(r"verify --since (\S+)'", result.err)
    verified(archive, "--since", since, code=WHOLE)


def test_an_archive_that_cannot_be_written(archive):
    if os.getuid() != 0:
        pytest.fail("needs root to take the right away")
    for path in [archive.root, *archive.root.rglob("*")]:
        if path.is_dir():
            os.chown(path, 0, 0)
            path.chmod(0o755)
    result = archive.ok("verify")
    assert "not remembered" in result.err and "The archive is whole" in result.out


def test_an_identity_that_cannot_be_read(archive):
    change(archive, "seawall_005/identity.json", lambda raw: raw[:5])
    assert [key for key, _ in said(verified(archive, code=DAMAGED))] == ["seawall_005/identity.json"]


def test_foreign_files_in_the_archive(archive):
    for name in ("top.txt", "wal_005/README", "wal_005/0000000100000000000000GG.lz4", "basebackups_005/notes.json"):
        (archive.root / name).write_text("x")
    verified(archive, code=WHOLE)


def test_an_archive_without_a_backup_is_not_whole(scratch):
    """It may be the wrong address, and a monitor would never notice."""
    empty = scratch.archive(name="empty")
    (key, text), = said(verified(empty, code=INCOMPLETE))
    assert key == "basebackups_005/" and "no backup" in text


def test_a_backup_over_the_replication_protocol(scratch):
    archive = scratch.archive(name="remote")
    cluster = scratch.cluster(archive)
    cluster.start()
    cluster.pgbench("-i", "-q", "-s", 1)
    archive.ok("backup-push", **cluster.connection())
    cluster.archive_all()
    cluster.stop()
    assert verified(archive, code=WHOLE)["pages"] > 1000


def test_on_object_storage(scratch, archive, double):
    """Copied there, found whole, and incomplete once a segment and a part are gone."""
    target = double_archive(scratch, double)
    for name, each in (("from", archive), ("to", target)):
        (scratch.path / f"{name}.json").write_text(json.dumps(each.settings))
    target.ok("copy", "-f", scratch.path / "from.json", "-t", scratch.path / "to.json", "-w")
    report = verified(target, code=WHOLE)
    assert len(report["backups"]) == 2 and len(report["wal"]) == 2
    full, _ = backups(target)
    gone = [f"basebackups_005/{full}/tar_partitions/part_001.tar.lz4",
            [key for key in target.keys("wal_005/00000001") if "backup" not in key][-3]]
    target.ok("st", "rm", gone[0])
    target.ok("st", "rm", gone[1])
    found = [key for key, _ in said(verified(target, code=INCOMPLETE))]
    assert gone[0] in found and gone[1].removesuffix(".lz4") in found


@pytest.mark.parametrize("case", golden.CASES)
def test_what_walg_wrote_is_whole(scratch, case):
    unpacked = golden.unpack(case, harness.mkdir(scratch.path / "golden"))
    archive = golden.CaseArchive(scratch, case, unpacked, copy=False)
    result = archive.run("verify", "--json")
    found = [(each["object"], each["text"]) for each in result.json()["findings"] if each["kind"] != "remark"]
    if case == "wal-commands":  # no backup, and noise was pushed under the name of a segment
        assert [key for key, _ in found] == ["basebackups_005/", "wal_005/0000000A0000000000000001.lz4", "wal_005/0000000A.history"]
        assert result.code == DAMAGED
        return
    assert found == [], json.dumps(found, indent=1)
    assert result.code == 0, result
