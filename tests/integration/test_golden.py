"""What WAL-G wrote is read as WAL-G reads it; where data is missing, the failure names the object."""
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil

import golden
import pytest
import seawall_harness as harness
from golden import WALG, Line

DEVIATIONS = golden.deviations()
LINES = [line for case in golden.CASES for line in golden.lines(case)]
RUNNABLE = [line for line in LINES if DEVIATIONS.left_out(line) is None]
# Hundreds of short ones: together they cost a second an archive.
CATALOGUE = [line for line in RUNNABLE if line.after or line.word in ("delete", "backup-mark", "wal-show", "wal-verify")]


@pytest.fixture(scope="session")
def unpacked(session_directory):
    done = {}

    def get(case):
        if case not in done:
            done[case] = golden.unpack(case, harness.mkdir(session_directory / f"case-{case}"))
        return done[case]
    return get


def check(run, line):
    wrong = run.run()
    reason = DEVIATIONS.lines.get(line.id)
    if reason is None:
        assert not wrong, "\n".join(wrong)
    else:
        assert wrong, f"{line.id} no longer differs: take it out of tests/archives/deviations.txt ({reason})"


def some_once(lines):
    """Under sanitizers every third will do: all of them take the same few paths through the program."""
    return [pytest.param(line, id=line.id, marks=[pytest.mark.once] if number % 3 else []) for number, line in enumerate(lines)]


@pytest.mark.parametrize("line", some_once(line for line in RUNNABLE if line not in CATALOGUE))
def test_line(scratch, unpacked, line):
    check(golden.LineRun(scratch, line, unpacked(line.case)), line)


@pytest.mark.parametrize("case", sorted({line.case for line in CATALOGUE}))
def test_lines_on_the_catalogue(scratch, unpacked, case):
    for line in CATALOGUE:
        if line.case != case:
            continue
        check(golden.LineRun(scratch, line, unpacked(case)), line)
        shutil.rmtree(scratch.path / "archive", ignore_errors=True)


CHAINS = [line for line in RUNNABLE if line.word == "backup-fetch" and line.code == 0 and line.id not in DEVIATIONS.lines
          and "reverse" not in line.command and "--restore-only" not in line.command]


@pytest.mark.parametrize("flags", ["--reverse-unpack", "--reverse-unpack --skip-redundant-tars"])
@pytest.mark.parametrize("line", CHAINS, ids=lambda line: line.id)
def test_newest_first_gives_the_same(scratch, unpacked, line, flags):
    head, selector, value = line.command.partition(" --target-user-data")
    line = dataclasses.replace(line, command=f"{head} {flags}{selector}{value}")
    wrong = golden.LineRun(scratch, line, unpacked(line.case)).run()
    assert not wrong, "\n".join(wrong)


def test_every_deviation_is_of_a_line_that_runs():
    known = {line.id for line in RUNNABLE} | {f"degenerate/foreign-{name}" for name in FOREIGN}
    assert sorted(set(DEVIATIONS.lines) - known) == []


def test_what_is_not_built_is_not_there(archive):
    """A word that the program has learnt must leave the list, so that its lines run."""
    for word in DEVIATIONS.not_built:
        if word.startswith("--"):
            result = archive.run("backup-fetch", archive.scratch.path / "x", "LATEST", word, "x")
            assert result.code == 1 and word in result.err + result.out, f"{word} is built\n{result}"
        elif " " not in word and not word.startswith("."):
            assert archive.run(word, "--help").code != 0, f"{word} is built"


def test_the_manual_has_every_deviation():
    page = (harness.ROOT / "docs/compatibility.md").read_text()
    for name, reason in {**DEVIATIONS.lines, **{f"not built {word}": why for word, why in DEVIATIONS.not_built.items()}}.items():
        assert f"| `{name}` | {reason} |" in page, f"docs/compatibility.md does not have {name}: run tools/docs"


FOREIGN = sorted(path.name for path in (WALG / "degenerate/foreign-codecs").iterdir() if path.is_dir())


@pytest.mark.parametrize("name", FOREIGN)
def test_other_legal_forms_of_compression(scratch, unpacked, name):
    """One segment as the stock tools of each codec write it: read, or refused by the name of what is not built."""
    archive = golden.CaseArchive(scratch, "degenerate", unpacked("degenerate"))
    foreign, = (WALG / "degenerate/foreign-codecs" / name).glob("wal_005/*")
    segment, _, extension = foreign.name.partition(".")
    (archive.root / f"wal_005/{segment}.lz4").unlink()
    target = archive.root / "wal_005" / foreign.name
    target.write_bytes(foreign.read_bytes())
    harness.give(target)
    out = scratch.path / "out"
    result = archive.run("wal-fetch", segment, out, WALG_DOWNLOAD_CONCURRENCY=1)
    want = (WALG / "degenerate/foreign-codecs/expected.sha256").read_text().split()[0]
    if f".{extension}" in DEVIATIONS.not_built or f"degenerate/foreign-{name}" in DEVIATIONS.lines:
        assert result.code not in (0, 74), f"{name} is read: take it out of tests/archives/deviations.txt\n{result}"
        assert extension in result.err and not out.exists(), result
    else:
        assert result.code == 0, result
        assert hashlib.sha256(out.read_bytes()).hexdigest() == want


FULL, DELTA, LAST = ("base_00000001000000000000000E", "base_000000010000000000000010_D_00000001000000000000000E",
                     "base_000000010000000000000013")
SUMS = {FULL: "b1", DELTA: "b2", LAST: "latest"}
SEGMENT = "wal_005/00000001000000000000000E.lz4"


def part(backup, name):
    return f"basebackups_005/{backup}/tar_partitions/{name}.tar.lz4"


def sentinel(backup):
    return f"basebackups_005/{backup}_backup_stop_sentinel.json"


def gone(*names):
    def change(root):
        for name in names:
            (root / name).unlink()
    return change


def contents(name, make):
    def change(root):
        path = root / name
        path.write_bytes(make(path.read_bytes() if path.exists() else b""))
    return change


def no_parts(root):
    for path in (root / f"basebackups_005/{DELTA}/tar_partitions").iterdir():
        path.unlink()


def foreign_objects(root):
    for name in ("wal_005/README.txt", "basebackups_005/notes.json", "basebackups_005/other_dir/file", "top.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x\n")
    (root / "wal_005/0000000100000000000000GG.lz4").write_bytes((root / SEGMENT).read_bytes())


def unknown_keys(raw):
    document = {key.lower(): value for key, value in json.loads(raw).items()}
    return json.dumps({**document, "zzz": [1, {"a": None}]}, indent=1).encode()


def old_sentinels(root):
    """As WAL-G wrote them before its second version: the file lists in the sentinel, nothing beside it."""
    for backup in (FULL, DELTA):
        path, files = root / sentinel(backup), root / f"basebackups_005/{backup}/files_metadata.json"
        document, lists = json.loads(path.read_text()), json.loads(files.read_text())
        document.update(Files=lists["Files"], TarFileSets=lists["TarFileSets"])
        for key in ("Version", "StartTime", "FinishTime", "DateFmt", "Hostname", "DataDir", "IsPermanent", "ChkpNum"):
            document.pop(key, None)
        files.unlink()
        (root / f"basebackups_005/{backup}/metadata.json").unlink()
        path.write_text(json.dumps(document))


def parent_forgets(root):
    """As if a delta stood on a backup without one of the files that it has an increment of, or left unchanged."""
    path = root / f"basebackups_005/{FULL}/files_metadata.json"
    lists = json.loads(path.read_text())
    del lists["Files"]["/PG_VERSION"]
    path.write_text(json.dumps(lists))


# What is done to a good archive → which backups still restore whole ("whole"), which must be refused (the words that the
# message has to hold).
DAMAGE = {
    "corrupt-part": (contents(part(LAST, "part_001"), lambda raw: raw[:len(raw) // 2] + b"\xff\xff\xff" + raw[len(raw) // 2 + 3:]),
                     {LAST: "part_001", FULL: "whole", DELTA: "whole"}),
    "empty-part": (contents(part(LAST, "part_001"), lambda raw: b""), {LAST: "part_001"}),
    "truncated-part": (contents(part(LAST, "part_001"), lambda raw: raw[:len(raw) // 2]), {LAST: "part_001"}),
    "truncated-part-tail": (contents(part(LAST, "part_001"), lambda raw: raw[:-4]), {LAST: "part_001"}),
    "part-missing": (gone(part(LAST, "part_002")), {LAST: "part_002", FULL: "whole"}),
    "part-of-the-parent-missing": (gone(part(FULL, "part_001")), {DELTA: f"{FULL}/tar_partitions/part_001", LAST: "whole"}),
    "part-of-the-parent-corrupt": (contents(part(FULL, "part_002"), lambda raw: raw[:len(raw) // 2] + b"\xff\xff\xff" + raw[len(raw) // 2 + 3:]),
                                   {DELTA: f"{FULL}/tar_partitions/part_002", LAST: "whole"}),
    "part-of-the-delta-truncated": (contents(part(DELTA, "part_001"), lambda raw: raw[:len(raw) // 2]),
                                    {FULL: "whole", DELTA: f"{DELTA}/tar_partitions/part_001"}),
    "file-not-in-the-parent": (lambda root: parent_forgets(root), {DELTA: "/PG_VERSION"}),
    "parts-missing": (gone(part(LAST, "part_002"), part(LAST, "part_003")), {LAST: "part_00"}),
    "no-parts": (no_parts, {DELTA: "tar_partitions", FULL: "whole", LAST: "whole"}),
    "no-pg-control": (gone(part(LAST, "pg_control")), {LAST: "pg_control"}),
    "no-backup-label": (gone(part(LAST, "backup_label")), {LAST: "backup_label"}),
    "garbage-first": (gone(sentinel(FULL)), {FULL: FULL, DELTA: FULL, LAST: "whole"}),
    "garbage-middle": (gone(sentinel(DELTA)), {FULL: "whole", DELTA: DELTA, LAST: "whole"}),
    "garbage-last": (gone(sentinel(LAST)), {FULL: "whole", DELTA: "whole", LAST: LAST}),
    "foreign-objects": (foreign_objects, {FULL: "whole", DELTA: "whole", LAST: "whole"}),
    "no-files-metadata": (gone(f"basebackups_005/{DELTA}/files_metadata.json"),
                          {FULL: "whole", DELTA: "files_metadata.json", LAST: "whole"}),
    "no-files-metadata-of-the-full": (gone(f"basebackups_005/{FULL}/files_metadata.json"),
                                      {FULL: "whole", DELTA: "whole", LAST: "whole"}),
    "no-metadata": (gone(f"basebackups_005/{FULL}/metadata.json"), {FULL: "whole", DELTA: "whole", LAST: "whole"}),
    "sentinel-empty": (contents(sentinel(DELTA), lambda raw: b""), {FULL: "whole", DELTA: "sentinel.json", LAST: "whole"}),
    "sentinel-not-json": (contents(sentinel(DELTA), lambda raw: b'{"LSN":12\n'),
                          {FULL: "whole", DELTA: "sentinel.json", LAST: "whole"}),
    "sentinel-unknown-keys": (contents(sentinel(DELTA), unknown_keys), {FULL: "whole", DELTA: "whole", LAST: "whole"}),
    "sentinel-v1": (old_sentinels, {FULL: "whole", DELTA: "whole", LAST: "whole"}),
}


def damaged(scratch, unpacked, change):
    archive = golden.CaseArchive(scratch, "degenerate", unpacked("degenerate"))
    times = {path: path.stat() for path in archive.root.rglob("*")}
    change(archive.root)
    for path, before in times.items():
        if path.exists():
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    harness.give(archive.root, recursive=True)
    return archive


QUICK = {"WALG_DOWNLOAD_FILE_RETRIES": 1, "WALG_DOWNLOAD_CONCURRENCY": 1}


@pytest.mark.parametrize("name,backup,flags", [
    (name, backup, flags) for name, (_, outcome) in DAMAGE.items() for backup in outcome
    for flags in ([], ["--reverse-unpack"], ["--reverse-unpack", "--skip-redundant-tars"]) if backup == DELTA or not flags])
def test_damaged_backup(scratch, unpacked, name, backup, flags):
    change, outcome = DAMAGE[name]
    archive = damaged(scratch, unpacked, change)
    before = archive.contents()
    target = scratch.path / "m"
    result = archive.run("backup-fetch", target, backup, *flags, **QUICK)
    words = outcome[backup]
    want = golden.expected_sums(WALG / f"degenerate/expect/{SUMS[backup]}.restored.sha256")
    if words == "whole":
        assert result.code == 0, result
        have = golden.sums(target)
        assert sorted(key for key in set(have) | set(want) if have.get(key) != want.get(key)) == []
    else:
        assert result.code == 1, f"a restore that has lost data must fail\n{result}"
        assert words in result.err, f"the message does not name {words}\n{result}"
        if target.exists() and any(target.iterdir()):
            assert not (target / "global/pg_control").exists(), "what is left of a failed restore must not start"
    assert archive.contents() == before


@pytest.mark.parametrize("name", ["garbage-first", "garbage-middle", "garbage-last", "foreign-objects", "sentinel-not-json",
                                  "sentinel-empty", "sentinel-unknown-keys"])
@pytest.mark.parametrize("flags", ["", "--detail", "--detail --json"])
def test_list_of_a_damaged_archive(scratch, unpacked, name, flags):
    archive = damaged(scratch, unpacked, DAMAGE[name][0])
    file = f"backup-list{flags.replace(' --', '-').replace('--', '-')}.out"
    want = WALG / f"degenerate/mutations/{name}/{file}"
    want = want if want.exists() else WALG / f"degenerate/expect/{file}"
    result = archive.ok("backup-list", *flags.split())
    run = golden.LineRun.__new__(golden.LineRun)
    run.line = Line("degenerate", "", 0, "backup-list", {})
    run.places = lambda: []
    assert run.tagged(result.out) == want.read_text()


WAL_DAMAGE = {
    "wal-corrupt": (contents(SEGMENT, lambda raw: raw[:60] + b"CORRUPT!" + raw[68:]), "fails"),
    "wal-empty-object": (contents(SEGMENT, lambda raw: b""), "fails"),
    "wal-truncated": (contents(SEGMENT, lambda raw: raw[:len(raw) // 2]), "fails"),
    "wal-tail-cut": (contents(SEGMENT, lambda raw: raw[:-4]), "fails"),
    "wal-lost": (gone(SEGMENT), "missing"),
    "two-codecs": (contents(SEGMENT.replace("lz4", "zst"), lambda raw: b"no zstd"), "fetched"),
    "partial-beside": (contents("wal_005/0000000100000000000000A0.partial.lz4", lambda raw: b"x"), "fetched"),
    "uncompressed-partial": (contents("wal_005/00000001000000000000000E.partial", lambda raw: b"x"), "fetched"),
    "trailing-dot": (lambda root: trailing_dot(root), "fetched"),
}


def trailing_dot(root):
    import subprocess
    raw = subprocess.run(["lz4", "-qdc", root / SEGMENT], capture_output=True, check=True).stdout
    (root / SEGMENT).unlink()
    (root / "wal_005/00000001000000000000000E.").write_bytes(raw)


@pytest.mark.parametrize("name", WAL_DAMAGE)
def test_damaged_wal(scratch, unpacked, name):
    change, outcome = WAL_DAMAGE[name]
    archive = damaged(scratch, unpacked, change)
    out = scratch.path / "out"
    result = archive.run("wal-fetch", "00000001000000000000000E", out, WALG_DOWNLOAD_CONCURRENCY=1)
    if outcome == "fetched":
        assert result.code == 0, result
        want = (WALG / "degenerate/foreign-codecs/expected.sha256").read_text().split()[0]
        assert hashlib.sha256(out.read_bytes()).hexdigest() == want
        return
    assert result.code == (74 if outcome == "missing" else 126), result
    assert "00000001000000000000000E" in result.err
    assert not out.exists(), "PostgreSQL would take what is there for the segment"


def recoveries():
    """Recoveries that were done with WAL-G and PostgreSQL: case, name, backup, settings and the contents then."""
    for case in golden.CASES:
        path = WALG / case / "content.json"
        if path.exists():
            for name, each in json.loads(path.read_text()).items():
                marks = [pytest.mark.long] if each.get("long") else []
                yield pytest.param(case, each, id=f"{case}/{name}", marks=marks)


def fetched(scratch, archive, recovery):
    """A stopped cluster as the recovery wants it. Tablespaces lie beside its data directory."""
    restored = scratch.cluster(archive, major=recovery.get("major", 15), empty=True, database="app")
    moved = archive.case in golden.WITH_TABLESPACES
    if moved:
        golden.move(archive, restored.home)
        spec = (WALG / "tablespaces/expect/spec-moved.json").read_text()
        spec = spec.replace("@CASE@", str(restored.home)).replace("@RESTORE@/new", str(restored.data))
        harness.give(golden.write(restored.home / "spec.json", spec))
    flags = [word.replace("@CASE@", str(restored.home)) for word in recovery.get("flags", [])]
    archive.ok("backup-fetch", restored.data, recovery["backup"], *flags, timeout=300)
    if os.environ.get("SEAWALL_REWRITE"):
        restored.data.chmod(0o700)  # WAL-G leaves that to its user where a backup is a remote one
    places = restored.data / "tablespace_map"
    if moved and places.exists():  # the server makes the links of this file
        places.write_text(places.read_text().replace(golden.remembered(archive.case), str(restored.home)))
    return restored


@pytest.mark.parametrize("case,recovery", recoveries())
def test_recovered_content(scratch, unpacked, case, recovery):
    archive = golden.CaseArchive(scratch, case, unpacked(case), copy=case in golden.WITH_TABLESPACES)
    restored = fetched(scratch, archive, recovery)
    (restored.data / "standby.signal").unlink(missing_ok=True)
    restored.recovery(**recovery["settings"])
    restored.start(archive_mode="off")
    restored.wait_promoted()
    if "tables" in recovery:  # of a cluster that was restored in part
        have = {database: restored.digest(database, tables).splitlines() for database, tables in recovery["tables"].items()}
    else:
        databases = restored.sql("select datname from pg_database where datallowconn and not datistemplate order by 1").split()
        have = {database: restored.digest(database).splitlines() for database in databases}
    if os.environ.get("SEAWALL_REWRITE"):  # with SEAWALL_BIN = WAL-G: what the reference recovers
        path = WALG / case / "content.json"
        document = json.loads(path.read_text())
        for each in document.values():
            if {**each, "content": None} == {**recovery, "content": None}:
                each["content"] = have
        path.write_text(json.dumps(document, indent=1) + "\n")
    else:
        assert have == recovery["content"]
    assert re.search(r"selected new timeline ID", restored.log_text()), restored.log_text()[-2000:]


VARIANTS = {"base64": {"WALG_LIBSODIUM_KEY_TRANSFORM": "base64", "WALG_LIBSODIUM_KEY": "@KEYS@/key.base64"},
            "hex-file": {"WALG_LIBSODIUM_KEY": None, "WALG_LIBSODIUM_KEY_PATH": "@KEYS@/key.hex"},
            "hex-spaces": {"WALG_LIBSODIUM_KEY": None, "WALG_LIBSODIUM_KEY_PATH": "@KEYS@/key-with-spaces.hex"},
            "none-key": {"WALG_LIBSODIUM_KEY_TRANSFORM": "none", "WALG_LIBSODIUM_KEY": None,
                         "WALG_LIBSODIUM_KEY_PATH": "@KEYS@/key.none"},
            "none-long": {"WALG_LIBSODIUM_KEY_TRANSFORM": None, "WALG_LIBSODIUM_KEY": None,
                          "WALG_LIBSODIUM_KEY_PATH": "@KEYS@/key-long.none"}}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_form_of_a_libsodium_key(scratch, unpacked, name):
    """The same segment as WAL-G encrypted it with the key in another form."""
    archive = golden.CaseArchive(scratch, "libsodium", unpacked("libsodium"))
    stored, = (WALG / "libsodium/variants" / name / "wal_005").iterdir()
    harness.give(shutil.copy(stored, archive.root / "wal_005"))
    settings = {key: value and value.replace("@KEYS@", str(archive.keys_directory)) for key, value in VARIANTS[name].items()}
    if "/" in (settings.get("WALG_LIBSODIUM_KEY") or ""):  # the text itself
        settings["WALG_LIBSODIUM_KEY"] = pathlib.Path(settings["WALG_LIBSODIUM_KEY"]).read_text()
    segment, out = stored.name.partition(".")[0], scratch.path / "out"
    archive.ok("wal-fetch", segment, out, WALG_DOWNLOAD_CONCURRENCY=1, **settings)
    want = (WALG / f"libsodium/expect/variant-{name}.sha256").read_text().split()[0]
    assert hashlib.sha256(out.read_bytes()).hexdigest() == want
    other = {**settings, "WALG_LIBSODIUM_KEY": "01" * 32, "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"}
    archive.fails("wal-fetch", segment, scratch.path / "other", code=126, says=[stored.name, "WALG_LIBSODIUM_KEY"],
                  WALG_DOWNLOAD_CONCURRENCY=1, **other)
    assert not (scratch.path / "other").exists()


def test_what_gnupg_itself_encrypted(scratch, unpacked):
    """AES-256, compressed inside the message, which neither program writes. What it holds is no segment."""
    archive = golden.CaseArchive(scratch, "pgp", unpacked("pgp"))
    made, = (WALG / "pgp/gpg-made").iterdir()
    harness.give(shutil.copy(made, archive.root / "wal_005/00000009.history.lz4"))
    archive.ok("wal-fetch", "00000009.history", scratch.path / "out")
    want = (WALG / "pgp/expect/gpg-made.sha256").read_text().split()[0]
    assert hashlib.sha256((scratch.path / "out").read_bytes()).hexdigest() == want
