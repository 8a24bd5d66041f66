"""Archives that the real WAL-E 1.1.1 wrote: they list, restore and recover."""
import json
import os
import re
import shlex
import shutil
import subprocess
import time

import golden
import pytest
import seawall_harness as harness
import wal_e_harness as wal_e

LZO_FIRST = "base_000000010000000000000007_00000040"
# Names, arguments and exit code of the recorded lists.
LISTS = [("list", [], 0), ("list-detail", ["--detail"], 0), ("list-latest", ["LATEST"], 0), ("list-one", [LZO_FIRST], 0),
         ("list-none", ["base_000000010000000000000099_00000040"], 0), ("list-bad", ["nonsense"], 1)]


@pytest.fixture
def lzo(scratch):
    return wal_e.unpacked(scratch, "lzo")


def test_lists_as_wal_e_does(lzo):
    for name, arguments, code in LISTS:
        result = subprocess.run([lzo.program, "backup-list", *arguments], env=lzo.environment(), capture_output=True, check=False)
        assert result.returncode == code, result
        assert result.stdout.decode() == wal_e.expected("lzo", f"{name}.stdout"), name


@pytest.mark.parametrize("name,backup", [("fetch-1", LZO_FIRST), ("fetch-latest", "LATEST")])
def test_restores_what_wal_e_stored(scratch, lzo, name, backup):
    before = lzo.stamps()
    lzo.ok("backup-fetch", scratch.path / "to", backup)
    assert golden.sums(scratch.path / "to") == wal_e.sums("lzo", f"{name}.sha256")
    assert wal_e.listing(scratch.path / "to") == wal_e.expected_listing("lzo", f"{name}.list")
    assert lzo.stamps() == before
    # The same by the other names of the program.
    lzo.ok("backup-fetch", scratch.path / "again", LZO_FIRST, program=scratch.program, WALG_PG_WAL_SIZE="16")
    assert golden.sums(scratch.path / "again") == wal_e.sums("lzo", "fetch-1.sha256")


@pytest.mark.parametrize("name,backup,target", [
    ("1-to-latest", LZO_FIRST, "latest"),
    pytest.param("tli1", LZO_FIRST, "1", marks=pytest.mark.long),
    pytest.param("latest", "LATEST", "latest", marks=pytest.mark.long)])
def test_recovers_what_wal_e_stored(lzo, name, backup, target):
    cluster = lzo.fetched(backup, major=13)
    lzo.recover(cluster, recovery_target_timeline=target)
    assert wal_e.content(cluster) == wal_e.expected("lzo", f"content.{name}.txt")


class KeyRing:
    """A GnuPG home of its own, with the key of the recorded archive."""

    def __init__(self, scratch, case="gpg-passphrase"):
        self.scratch = scratch
        self.home = harness.give(harness.mkdir(scratch.path / "gnupg", 0o700))
        keys = wal_e.ARCHIVES / case / "keys"
        secret = keys / "passphrase.txt"
        self.passphrase = secret.read_text().strip() if secret.exists() else ""
        self.gpg("--batch", "--pinentry-mode", "loopback", "--passphrase", self.passphrase, "--import", "-",
                 input=(keys / "secret.asc").read_bytes())
        self.forget()

    def gpg(self, *arguments, **rest):
        return subprocess.run(["gpg", "--homedir", self.home, *arguments], check=True, capture_output=True, **harness.other_user(), **rest)

    def forget(self):
        """What the agent learnt while the key was imported."""
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"], check=True, capture_output=True, **harness.other_user())

    def preset(self):
        """gpg-agent as unattended sites have it."""
        harness.give(golden.write(self.home / "gpg-agent.conf", "allow-preset-passphrase\n"))
        self.forget()
        subprocess.run(["gpgconf", "--homedir", self.home, "--launch", "gpg-agent"], check=True, capture_output=True, **harness.other_user())
        listed = self.gpg("--batch", "--with-colons", "--with-keygrip", "--list-secret-keys").stdout.decode()
        for line in listed.splitlines():
            if line.startswith("grp:"):
                subprocess.run(["/usr/lib/gnupg/gpg-preset-passphrase", "--preset", line.split(":")[9]], check=True,
                               input=self.passphrase.encode(), env={**os.environ, "GNUPGHOME": str(self.home)}, **harness.other_user())


@pytest.fixture
def key_ring(scratch):
    made = KeyRing(scratch)
    yield made
    made.forget()


@pytest.fixture
def encrypted(scratch, key_ring):
    return wal_e.unpacked(scratch, "gpg-passphrase", GNUPGHOME=str(key_ring.home), WALE_GPG_KEY_ID="backup@example.org",
                          GPG_AGENT_INFO="/nowhere:1:1")


def test_passphrase_of_a_protected_key(scratch, encrypted, key_ring):
    """By a setting, a file, a command and gpg-agent; WAL-E knew the last alone."""
    secret = harness.give(golden.write(scratch.path / "passphrase", key_ring.passphrase + "\n"))
    ways = [{"WALG_PGP_KEY_PASSPHRASE": key_ring.passphrase}, {"SEAWALL_PGP_PASSPHRASE_PATH": str(secret)},
            {"SEAWALL_PGP_PASSPHRASE_COMMAND": f"cat {secret}"}]
    segment = "000000010000000000000003"
    for way in ways:
        encrypted.ok("wal-fetch", "-p", "0", segment, scratch.path / "wal", **way)
        assert (scratch.path / "wal").stat().st_size == 16 << 20
    encrypted.ok("backup-fetch", scratch.path / "to", "LATEST", **ways[1])
    assert golden.sums(scratch.path / "to") == wal_e.sums("gpg-passphrase", "fetch.sha256")
    key_ring.preset()
    encrypted.ok("wal-fetch", "-p", "0", segment, scratch.path / "wal2")
    assert (scratch.path / "wal2").read_bytes() == (scratch.path / "wal").read_bytes()
    # What is encrypted tells so itself: the key need not be named for reading.
    encrypted.ok("wal-fetch", "-p", "0", segment, scratch.path / "wal3", WALE_GPG_KEY_ID=None)


def test_protected_key_without_passphrase(scratch, encrypted, key_ring):
    ways = ["WALG_PGP_KEY_PASSPHRASE", "SEAWALL_PGP_PASSPHRASE_PATH", "SEAWALL_PGP_PASSPHRASE_COMMAND", "gpg-agent", "0x"]
    destination = golden.write(scratch.path / "wal", "what was there")
    encrypted.fails("wal-fetch", "-p", "0", "000000010000000000000003", destination, code=126, says=ways)
    assert destination.read_text() == "what was there"
    encrypted.fails("backup-fetch", scratch.path / "to", "LATEST", code=2, says=ways)
    encrypted.fails("wal-fetch", "000000010000000000000003", destination, code=126, says="does not unlock",
                    WALG_PGP_KEY_PASSPHRASE="wrong")
    encrypted.fails("wal-fetch", "000000010000000000000003", destination, code=126, says=["SEAWALL_PGP_PASSPHRASE_COMMAND", "no such"],
                    SEAWALL_PGP_PASSPHRASE_COMMAND="echo no such thing >&2; exit 3")
    encrypted.fails("wal-fetch", "000000010000000000000003", destination, code=126, says="no secret part",
                    GNUPGHOME=str(harness.give(harness.mkdir(scratch.path / "empty", 0o700))))
    assert destination.read_text() == "what was there"


@pytest.fixture
def unlocked(scratch):
    """The archive whose key has no passphrase."""
    ring = KeyRing(scratch, "gpg")
    yield wal_e.unpacked(scratch, "gpg", GNUPGHOME=str(ring.home))
    ring.forget()


def test_a_key_without_a_passphrase(scratch, unlocked):
    """The key id decides about writing alone: with it, without it, and as the address that the key was made for."""
    for place, key in (("a", "ops@example.org"), ("b", None)):
        unlocked.ok("backup-fetch", scratch.path / place, "LATEST", WALE_GPG_KEY_ID=key)
        assert golden.sums(scratch.path / place) == wal_e.sums("gpg", "fetch.sha256")
    for name in ("000000010000000000000003", "000000010000000000000003.00000028.backup"):
        unlocked.ok("wal-fetch", "-p", "0", name, scratch.path / "wal", WALE_GPG_KEY_ID="ops@example.org")
    assert (scratch.path / "wal").read_text().startswith("START WAL LOCATION: 0/3000028 ")


@pytest.mark.long
def test_recovers_without_a_passphrase(unlocked):
    cluster = unlocked.fetched("LATEST", major=13)
    unlocked.recover(cluster)
    assert wal_e.content(cluster) == wal_e.expected("gpg", "content.txt")


@pytest.mark.long
def test_recovers_an_encrypted_archive(encrypted, key_ring):
    encrypted.settings["WALG_PGP_KEY_PASSPHRASE"] = key_ring.passphrase
    cluster = encrypted.fetched("LATEST", major=13)
    encrypted.recover(cluster)
    assert wal_e.content(cluster) == wal_e.expected("gpg-passphrase", "content.txt")


def without_map(sums):
    return {name: digest for name, digest in sums.items() if name != "tablespace_map"}


@pytest.fixture
def spaces(scratch):
    return wal_e.unpacked(scratch, "tablespace")


def test_hard_links_and_odd_files(scratch, spaces):
    """Without links WAL-E restores tablespaces of a file store into plain directories, and so with --blind-restore."""
    for name, options in (("plain", []), ("blind", ["--blind-restore"])):
        result = spaces.ok("backup-fetch", *options, scratch.path / name, "LATEST")
        assert "pg_tblspc" in result.err and "allow_in_place_tablespaces" in result.err
        assert golden.sums(scratch.path / name) == without_map(wal_e.sums("tablespace", "fetch-plain.sha256"))
        # Directories that no member is for are the owner's alone; WAL-E's are as umask has it.
        wanted = [re.sub(r"^d 755 (- pg_tblspc/.+)$", r"d 700 \1", line) for line in wal_e.expected_listing("tablespace", "fetch-plain.list")]
        assert wal_e.listing(scratch.path / name) == sorted(line for line in wanted if " tablespace_map" not in line)
    odd = scratch.path / "plain/odd"
    assert (odd / "hard_a").stat().st_ino == (odd / "hard_b").stat().st_ino
    # WAL-E never came to an end here.
    spaces.fails("backup-fetch", scratch.path / "plain", "LATEST", code=1, says=["plain", "empty"])


def recover_spaces(spaces, cluster):
    wal_e.supply(cluster)
    spaces.recover(cluster)
    assert wal_e.content(cluster) == wal_e.expected("tablespace", "content.txt")


def test_relocation_by_links_survives_the_start(scratch, spaces):
    """The tablespace_map of the backup had the server make the links anew, to where the tablespaces once were."""
    cluster = scratch.cluster(None, major=13, empty=True)
    data = harness.give(harness.mkdir(cluster.data, 0o700))
    harness.give(harness.mkdir(data / "pg_tblspc", 0o700))
    for oid in ("16788", "16789"):
        place = harness.give(harness.mkdir(scratch.path / f"space-{oid}", 0o700))
        (data / "pg_tblspc" / oid).symlink_to(place)
    harness.give(golden.write(data / "recovery.signal", ""))
    spaces.ok("backup-fetch", data, "LATEST")
    recover_spaces(spaces, cluster)
    for oid in ("16788", "16789"):
        assert os.readlink(data / "pg_tblspc" / oid).rstrip("/") == str(scratch.path / f"space-{oid}")


def test_relocation_by_specification(scratch, spaces):
    cluster = scratch.cluster(None, major=13, empty=True)
    spec = json.loads(wal_e.expected("tablespace", "restore-spec.json"))
    spec["base_prefix"] = str(cluster.data)
    for oid in spec["tablespaces"]:
        spec[oid]["loc"] = f"{scratch.path}/moved-{oid}/"
    file = harness.give(golden.write(scratch.path / "spec.json", json.dumps(spec)))
    result = spaces.ok("backup-fetch", "--restore-spec", file, scratch.path / "ignored", "LATEST")
    assert str(cluster.data) in result.err and not (scratch.path / "ignored").exists()
    # A second time ends at once, with the first one's files as they were.
    spaces.fails("backup-fetch", "--restore-spec", file, scratch.path / "ignored", "LATEST", code=1, says=str(cluster.data))
    recover_spaces(spaces, cluster)
    golden.write(scratch.path / "bad.json", '{"base_prefix": "/x",}')
    spaces.fails("backup-fetch", "--restore-spec", scratch.path / "bad.json", scratch.path / "n", "LATEST", code=2, says="bad.json")
    spaces.fails("backup-fetch", "--restore-spec", "/nonexistent.json", scratch.path / "n", "LATEST", says="/nonexistent.json")
    assert not (scratch.path / "n").exists()


def test_links_that_are_wrong_or_missing(scratch, spaces):
    data = harness.give(harness.mkdir(scratch.path / "to", 0o700))
    harness.give(harness.mkdir(data / "pg_tblspc", 0o700))
    (data / "pg_tblspc/16788").symlink_to(harness.give(harness.mkdir(scratch.path / "s")))
    spaces.fails("backup-fetch", data, "LATEST", says=["pg_tblspc/16789", "--restore-spec", "--blind-restore"])
    (data / "pg_tblspc/16789").symlink_to(harness.give(harness.mkdir(scratch.path / "s2")))
    (data / "pg_tblspc/4711").symlink_to(scratch.path / "s2")
    spaces.fails("backup-fetch", data, "LATEST", says="pg_tblspc/4711")
    (data / "pg_tblspc/4711").unlink()
    golden.write(scratch.path / "s2/file", "x")
    spaces.fails("backup-fetch", data, "LATEST", says=["s2", "file"])
    assert sorted(os.listdir(data)) == ["pg_tblspc"]


def test_volumes_that_are_lost_and_what_lies_among_them(scratch, spaces):
    """WAL-E takes what it finds for the whole backup: a lost volume was a restore without its files, and exit 0."""
    name = spaces.backups()[0]
    volumes = spaces.root / f"basebackups_005/{name}/tar_partitions"
    golden.write(volumes / "notes.txt", "of an operator")
    assert "notes.txt is no volume" in spaces.ok("backup-fetch", "--blind-restore", scratch.path / "a", "LATEST").err
    last = (volumes / "part_00000005.tar.lzo").rename(scratch.path / "last")
    told = spaces.ok("backup-fetch", "--blind-restore", scratch.path / "b", "LATEST").err
    assert re.search(r"holds \d+ bytes less than its sentinel says.*behind part_00000004", told), told
    last.rename(volumes / "part_00000005.tar.lzo")
    (volumes / "part_00000002.tar.lzo").unlink()
    spaces.fails("backup-fetch", "--blind-restore", scratch.path / "c", "LATEST", says="part_00000002.tar is missing")
    assert not (scratch.path / "c").exists()
    verified = spaces.run("verify", program=scratch.program, WALG_FILE_PREFIX=str(spaces.root))
    assert verified.code != 0 and re.search(r"part_00000002\.tar: the volume is not there", verified.out), verified
    assert "notes.txt: it is no volume" in verified.out and "not a WAL segment" not in verified.err, verified


UNFINISHED = "basebackups_005/base_{}/"
NEWER = (UNFINISHED.format("000000010000000000000007_00000040"), UNFINISHED.format("00000002000000010000000A_00000040"))
# Where `delete` deliberately does something else (docs/moving-from-wal-e.md): what it says when it refuses, or beginnings of
# the keys that it removes as well, and of those that it keeps.
OTHERWISE = {
    "before-absent": "base_000000010000000000000008_00000000", "before-suffix": "no backup's name", "retain-neg": "not negative",
    # Of backups that begin in one segment WAL-E keeps all or none; here it is the number that was asked for.
    "same-start-retain2": (("basebackups_005/base_000000010000000000000005_", "wal_005/00000001000000000000000"), ()),
    "same-start-retain3": (("basebackups_005/base_000000010000000000000005_00000040",), ()),
    # What WAL-G stored is deleted as well, and no file is that the program does not know.
    "weird-retain2": (("basebackups_005/base_000000010000000000000002_", "wal_005/000000010000000000000001"),
                      ("wal_005/000000010000000000000001.lzo.tmp",)),
    "weird-everything": ((), ("basebackups_005/junk.txt", "wal_005/000000010000000000000001.lzo.tmp", "wal_005/notes.txt", "wal_005/sub/")),
}


def deletions():
    """Name, exit code, arguments, and the keys that there were, each with whether WAL-E deleted it."""
    for text in (wal_e.ARCHIVES / "cli/delete.txt").read_text().split("== ")[1:]:
        head, *lines = text.splitlines()
        name, code, words = re.match(r"(\S+) exit (\d+): wal-e (.*)", head).groups()
        yield name, int(code), words.split(), {line[2:]: line.startswith("- ") for line in lines}


def test_deletes_what_wal_e_did(scratch):
    """Recorded on archives of small files. Beside WAL-E's, the remains of unfinished backups and .partial files go, once old."""
    now = time.time()
    for name, code, words, keys in deletions():
        archive = wal_e.WalEArchive(scratch, name)
        harness.mkdir(archive.root)
        for age, key in enumerate(reversed(sorted(keys)), 1):
            (archive.root / key).parent.mkdir(parents=True, exist_ok=True)
            os.utime(golden.write(archive.root / key, "{}"), (now - age * 86400 * 3,) * 2)
        harness.give(archive.root, recursive=True)
        result = archive.run(*words)
        other = OTHERWISE.get(name, ((), ()))
        if isinstance(other, str):
            assert result.code in (1, 2) and other in result.err and archive.keys() == sorted(keys), result
            continue
        removed, kept = other
        left = set(archive.keys())
        assert result.code == code, result
        lost = {key for key in keys if not keys[key]} - left
        assert all(key.startswith(removed + NEWER) or key.endswith(".partial.lzo") for key in lost), (name, lost)
        assert not lost or "--con" in " ".join(words), name
        assert all(key.startswith(kept) for key in left & {key for key in keys if keys[key]}), (name, left)


def command_lines():
    lines = (wal_e.ARCHIVES / "cli/exit-codes.tsv").read_text().splitlines()[1:]
    for name, words, code, changes in (line.split("\t") for line in lines):
        settings = dict(pair.split("=", 1) for pair in re.findall(r"(?<![\w-])([A-Z_0-9]+=.*?)(?= -?[A-Z][A-Z_0-9]*=| -[A-Z]|$)", changes))
        settings.update({name: None for name in re.findall(r"(?:^| )-([A-Z_0-9]+)", changes)})
        yield name, shlex.split(words)[1:], int(code), settings


# Beside WAL-E's exit code, and why (docs/moving-from-wal-e.md).
OTHER_CODES = {"fetch-nonempty": 1, "gpg-nokey": 2, "gpg-onplain": 126, "gpg-onplain-backup": 1, "gpg-empty": 0,
               "no-lzop": 0, "no-gpg": 0, "fetch-no-destdir": 126, "delete-oldversions": 0}


def test_exit_codes(scratch, lzo):
    """Eighty recorded command lines, each with its changes of the environment."""
    work = scratch.path / "work"
    for name, words, code, settings in command_lines():
        shutil.rmtree(work, ignore_errors=True)
        for folder in ("empty", "live", "nonempty", "bin", "home"):
            harness.mkdir(work / folder)
        golden.write(work / "live/postmaster.pid", "1\n")
        golden.write(work / "nonempty/x", "x")
        harness.give(work, recursive=True)

        def here(text):
            return text and text.replace("@WORK@", str(work)).replace("@ARCHIVE@", str(lzo.root)).replace("@HOME@", str(work / "home"))
        if name == "fetch-spec-SOURCE":
            continue  # into the directory of the host that was backed up
        lzo.settings = {"WALE_FILE_PREFIX": f"file://localhost{lzo.root}", "WALE_LOG_DESTINATION": "stderr", "PGHOST": "/nonexistent"}
        result = lzo.run(*map(here, words), **{key: here(value) for key, value in settings.items()})
        assert result.code == OTHER_CODES.get(name, code), (name, words, settings, result)


def test_an_archive_in_s3(scratch, double):
    """Objects that WAL-E put into an object store."""
    archive = wal_e.unpacked(scratch, "s3")
    for path in sorted((archive.root / "prod").rglob("*")):
        if path.is_file():
            double.bucket().put(str(path.relative_to(archive.root)), path.read_bytes())
    shutil.rmtree(archive.root / "prod")
    archive.settings = {"WALE_S3_PREFIX": "s3://bucket/prod/main", "WALE_S3_ENDPOINT": double.endpoint.replace("http://", "http+path://"),
                        "AWS_ACCESS_KEY_ID": "AKIDDOUBLE", "AWS_SECRET_ACCESS_KEY": "double/secret+key", "WALE_LOG_DESTINATION": "stderr"}
    def columns(text):
        rows = [line.split("\t") for line in text.replace("\r\n", "\n").splitlines()]
        return [row[:1] + row[2:] for row in rows]
    for name, arguments in (("list", []), ("list-detail", ["--detail"])):
        assert columns(archive.ok("backup-list", *arguments).out) == columns(wal_e.expected("s3", f"{name}.stdout"))
    spec = harness.give(golden.write(scratch.path / "spec.json", json.dumps({
        "base_prefix": str(scratch.path / "data"), "16788": {"loc": str(scratch.path / "space"), "link": "pg_tblspc/16788"}})))
    archive.fails("backup-fetch", scratch.path / "data", "LATEST", says="pg_tblspc/16788")
    archive.ok("backup-fetch", "--restore-spec", spec, scratch.path / "data", "LATEST")
    assert golden.sums(scratch.path / "data") == without_map(wal_e.sums("s3", "fetch-SOURCE.sha256"))
    archive.fails("wal-fetch", "-p", "0", "0000000100000000000000AA", scratch.path / "wal", code=1)
    archive.fails("wal-fetch", "00000009.history", scratch.path / "wal", code=1)
    archive.ok("wal-fetch", "-p", "0", "000000010000000000000005", scratch.path / "wal")
    assert (scratch.path / "wal").stat().st_size == 16 << 20
