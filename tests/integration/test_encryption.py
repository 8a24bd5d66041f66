"""OpenPGP and libsodium with real keys: backups and WAL that recover, and errors that name the object and the setting."""
import shutil

import ciphers
import golden
import pytest
import seawall_harness as harness
from ciphers import PHRASE, TESTDATA, through


def openpgp(keys, public, secret, phrase=None):
    """What writes and what reads: who writes has no secret key."""
    reads = {"WALG_PGP_KEY_PATH": keys.path(secret), "WALG_PGP_KEY_PASSPHRASE": phrase}
    return {"WALG_PGP_KEY_PATH": keys.path(public)}, reads


def key_ring(keys, name, phrase=None):
    """The deprecated way: a key of the user's own ring, through gpg and its agent."""
    settings = {"WALG_GPG_KEY_ID": f"{name}@example.invalid", "WALG_PGP_KEY_PASSPHRASE": phrase, "GNUPGHOME": str(keys.gpg.home)}
    return settings, settings


def libsodium(keys, text, transform, in_file=False):
    keys.write("sodium", text.encode())
    where = {"WALG_LIBSODIUM_KEY_PATH": keys.path("sodium")} if in_file else {"WALG_LIBSODIUM_KEY": text}
    settings = {**where, "WALG_LIBSODIUM_KEY_TRANSFORM": transform}
    return settings, settings


BASE64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
WAYS = {"rsa2048": lambda keys: openpgp(keys, "rsa2048.public", "rsa2048.secret"),
        "rsa4096": lambda keys: openpgp(keys, "rsa4096.public", "rsa4096.secret"),
        "curve-passphrase": lambda keys: openpgp(keys, "curve.public", "curve.secret", PHRASE),
        "several-recipients": lambda keys: openpgp(keys, "all.public", "curve.secret", PHRASE),
        "gpg-key-id": lambda keys: key_ring(keys, "rsa2048"),
        "gpg-key-id-passphrase": lambda keys: key_ring(keys, "curve", PHRASE),
        "key-as-text": lambda keys: ({"WALG_PGP_KEY": keys.text("rsa2048.public")},
                                     {"WALG_PGP_KEY": keys.text("rsa2048.secret").replace("\n", "\\n")}),
        "libsodium-hex": lambda keys: libsodium(keys, ciphers.SODIUM_KEY.hex(), "hex"),
        "libsodium-hex-file": lambda keys: libsodium(keys, f"  {ciphers.SODIUM_KEY.hex()}\n", "hex", in_file=True),
        "libsodium-base64": lambda keys: libsodium(keys, BASE64, "base64"),
        "libsodium-none": lambda keys: libsodium(keys, "a text of 25 characters..", "none"),
        "libsodium-none-long": lambda keys: libsodium(keys, "a text that is much longer than thirty-two bytes", None),
        "libsodium-none-file": lambda keys: libsodium(keys, "a text of 25 characters..\n", "none", in_file=True)}
SHORT = ("several-recipients", "gpg-key-id-passphrase", "libsodium-base64")  # the others are in ./test --all
RECOVERED = [pytest.param(way, marks=[] if way in SHORT else [pytest.mark.long]) for way in WAYS]
TO_WALG = [pytest.param(way, marks=[] if way in SHORT else [pytest.mark.long])
           for way in WAYS if "gpg-key-id" not in way]  # with which WAL-G does not encrypt


def nothing_readable(archive):
    """No object of WAL or of a part begins as compressed or plain data do."""
    keys = [key for key in archive.keys() if key.startswith("wal_005/") or "/tar_partitions/" in key]
    for key in keys:
        assert (archive.root / key).read_bytes()[:4] not in (b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd"), f"{key} is not encrypted"
    return keys


@pytest.mark.once
@pytest.mark.parametrize("way", RECOVERED)
def test_backup_and_wal_recover(scratch, archive, keys, way):
    writes, reads = WAYS[way](keys)
    digest = ciphers.backed_up(scratch, archive, writes)
    assert len(nothing_readable(archive)) >= 5
    for key in writes:
        archive.settings.pop(key)
    archive.settings.update(reads)
    ciphers.recover(scratch, archive, digest)


@pytest.mark.once
@pytest.mark.parametrize("way", TO_WALG)
@pytest.mark.parametrize("writer", ["seawall", "walg"])
def test_walg_and_seawall_recover_what_the_other_encrypted(scratch, archive, keys, walg, way, writer):
    writes, reads = WAYS[way](keys)
    digest = ciphers.backed_up(scratch, archive, writes, walg if writer == "walg" else None)
    for key in writes:
        archive.settings.pop(key)
    archive.settings.update(reads)
    ciphers.recover(scratch, archive, digest, None if writer == "walg" else walg)


@pytest.mark.parametrize("way", WAYS)
def test_a_segment_comes_back(scratch, archive, keys, wal_files, way):
    writes, reads = WAYS[way](keys)
    cluster = wal_files(scratch, archive)
    name = cluster.finished[0]
    archive.ok("wal-push", cluster.segment_file(name), TOTAL_BG_UPLOADED_LIMIT=1, **writes)
    assert nothing_readable(archive) == [f"wal_005/{name}.lz4"]
    archive.ok("wal-fetch", name, scratch.path / "back", WALG_DOWNLOAD_CONCURRENCY=1, **reads)
    assert (scratch.path / "back").read_bytes() == cluster.segment_file(name).read_bytes()


def test_every_recipient_and_gnupg_itself_read_a_part(scratch, archive, keys, wal_files):
    writes, _ = WAYS["several-recipients"](keys)
    cluster = wal_files(scratch, archive)
    name = cluster.finished[0]
    archive.ok("wal-push", cluster.segment_file(name), TOTAL_BG_UPLOADED_LIMIT=1, **writes)
    raw, stored = cluster.segment_file(name).read_bytes(), (archive.root / f"wal_005/{name}.lz4").read_bytes()
    packets = keys.gpg.run("--list-packets", "--list-only", data=stored).decode()
    assert packets.count(":pubkey enc packet:") == len(ciphers.KINDS), packets
    assert through(["lz4", "-qdc"], keys.gpg.decrypt(stored)) == raw, "the ring holds unprotected secret keys"
    for way in ("rsa2048", "rsa4096", "curve-passphrase"):
        archive.ok("wal-fetch", name, scratch.path / way, WALG_DOWNLOAD_CONCURRENCY=1, **WAYS[way](keys)[1])
        assert (scratch.path / way).read_bytes() == raw


# Settings under which an object that was written with others is refused → words that the message has beside its name.
PLAIN = {}
HEX = ciphers.sodium_settings()
OTHER_HEX = ciphers.sodium_settings(bytes(range(1, 33)))


def wrong(keys):
    rsa = {"WALG_PGP_KEY_PATH": keys.path("rsa2048.secret")}
    curve = {"WALG_PGP_KEY_PATH": keys.path("curve.secret"), "WALG_PGP_KEY_PASSPHRASE": PHRASE}
    return {
        "another-openpgp-key": (rsa, curve, ["WALG_PGP_KEY_PATH", "for the OpenPGP key 0x"]),
        "the-public-key-only": (rsa, {"WALG_PGP_KEY_PATH": keys.path("rsa2048.public")}, ["WALG_PGP_KEY_PATH", "public key"]),
        "a-key-file-that-is-not-there": (rsa, {"WALG_PGP_KEY_PATH": "/nonexistent/key"}, ["WALG_PGP_KEY_PATH", "/nonexistent/key"]),
        "a-file-that-is-no-key": (rsa, {"WALG_PGP_KEY_PATH": keys.path("gpg/gpg-agent.conf")}, ["WALG_PGP_KEY_PATH"]),
        "a-wrong-passphrase": (curve, {**curve, "WALG_PGP_KEY_PASSPHRASE": "no"}, ["WALG_PGP_KEY_PASSPHRASE"]),
        "no-passphrase": (curve, {"WALG_PGP_KEY_PATH": keys.path("curve.secret")}, ["WALG_PGP_KEY_PASSPHRASE"]),
        "an-unknown-key-of-the-ring": (rsa, {"WALG_GPG_KEY_ID": "nobody@example.invalid", "GNUPGHOME": "/nonexistent"},
                                       ["WALG_GPG_KEY_ID"]),
        "another-libsodium-key": (HEX, OTHER_HEX, ["WALG_LIBSODIUM_KEY"]),
        "a-short-libsodium-key": (HEX, {**HEX, "WALG_LIBSODIUM_KEY": "abcd"}, ["WALG_LIBSODIUM_KEY"]),
        "an-unknown-transform": (HEX, {**HEX, "WALG_LIBSODIUM_KEY_TRANSFORM": "rot13"}, ["WALG_LIBSODIUM_KEY_TRANSFORM"]),
        "a-libsodium-key-file-that-is-not-there": (HEX, {"WALG_LIBSODIUM_KEY_PATH": "/nonexistent/key"},
                                                   ["WALG_LIBSODIUM_KEY_PATH", "/nonexistent/key"]),
        "plain-where-openpgp-is-configured": (PLAIN, rsa, ["not encrypted", "WALG_PGP_KEY_PATH"]),
        "plain-where-libsodium-is-configured": (PLAIN, HEX, ["not encrypted", "WALG_LIBSODIUM_KEY"]),
        "plain-where-a-ring-is-configured": (PLAIN, key_ring(keys, "rsa2048")[0], ["not encrypted", "WALG_GPG_KEY_ID"]),
        "openpgp-where-nothing-is-configured": (rsa, PLAIN, ["encrypted with OpenPGP", "WALG_PGP_KEY_PATH"]),
        "libsodium-where-nothing-is-configured": (HEX, PLAIN, ["WALG_LIBSODIUM_KEY"]),
        "openpgp-where-libsodium-is-configured": (rsa, HEX, ["WALG_LIBSODIUM_KEY", "OpenPGP"]),
        "libsodium-where-openpgp-is-configured": (HEX, rsa, ["WALG_PGP_KEY_PATH"]),
    }


CASES = ["another-openpgp-key", "the-public-key-only", "a-key-file-that-is-not-there", "a-file-that-is-no-key",
         "a-wrong-passphrase", "no-passphrase", "an-unknown-key-of-the-ring", "another-libsodium-key", "a-short-libsodium-key",
         "an-unknown-transform", "a-libsodium-key-file-that-is-not-there", "plain-where-openpgp-is-configured",
         "plain-where-libsodium-is-configured", "plain-where-a-ring-is-configured", "openpgp-where-nothing-is-configured",
         "libsodium-where-nothing-is-configured", "openpgp-where-libsodium-is-configured",
         "libsodium-where-openpgp-is-configured"]
# These are refused before any object is asked for.
NO_OBJECT = ("an-unknown-transform",)


def test_every_case_is_tried(keys):
    assert list(wrong(keys)) == CASES


@pytest.mark.parametrize("case", CASES)
def test_wal_that_cannot_be_decrypted(scratch, archive, keys, wal_files, case):
    writes, reads, words = wrong(keys)[case]
    cluster = wal_files(scratch, archive)
    name = cluster.finished[0]
    archive.ok("wal-push", cluster.segment_file(name), TOTAL_BG_UPLOADED_LIMIT=1, **writes)
    said = words + ([] if case in NO_OBJECT else [f"wal_005/{name}.lz4"])
    result = archive.fails("wal-fetch", name, scratch.path / "back", code=126, says=said, WALG_DOWNLOAD_CONCURRENCY=1, **reads)
    assert not (scratch.path / "back").exists()
    for secret in (PHRASE, ciphers.SODIUM_KEY.hex(), "PRIVATE KEY"):
        assert secret not in result.err


@pytest.mark.parametrize("case", ["another-openpgp-key", "another-libsodium-key", "plain-where-libsodium-is-configured",
                                  "libsodium-where-nothing-is-configured", "openpgp-where-nothing-is-configured"])
def test_a_backup_that_cannot_be_decrypted(scratch, archive, keys, case):
    """A backup as WAL-G writes it, without digests: one part of a real one, so that no server is needed."""
    writes, reads, words = wrong(keys)[case]
    kind = {"WALG_PGP_KEY_PATH": "pgp", "WALG_LIBSODIUM_KEY": "libsodium"}.get(next(iter(writes), ""), "codec-none")
    source = golden_archive(scratch, kind)
    archive.root = source.root
    archive.settings = {"WALG_FILE_PREFIX": str(source.root), "WALG_PG_WAL_SIZE": "1"}
    result = archive.fails("backup-fetch", scratch.path / "data", "LATEST", says=["tar_partitions/", *words],
                           WALG_DOWNLOAD_FILE_RETRIES=1, **reads)
    assert not (scratch.path / "data/global/pg_control").exists(), result


def golden_archive(scratch, case):
    return golden.CaseArchive(scratch, case, golden.unpack(case, harness.mkdir(scratch.path / "case")), copy=False)


def test_a_message_without_protection_is_refused_unless_allowed(scratch, archive, keys):
    keys.write("testdata.secret", (TESTDATA / "rsa.secret.asc").read_bytes())
    archive.settings["WALG_PGP_KEY_PATH"] = keys.path("testdata.secret")
    harness.give(harness.mkdir(archive.root / "wal_005"))
    harness.give(shutil.copy(TESTDATA / "gpg-no-mdc.pgp", archive.root / "wal_005/00000009.history"))
    out = scratch.path / "out"
    archive.fails("wal-fetch", "00000009.history", out, code=126,
                  says=["wal_005/00000009.history", "no integrity protection", "SEAWALL_PGP_ALLOW_UNPROTECTED"])
    assert not out.exists()
    archive.ok("wal-fetch", "00000009.history", out, SEAWALL_PGP_ALLOW_UNPROTECTED="true")
    assert out.read_text().startswith("line 0 of the sample")


def test_a_key_that_cannot_be_used_stores_nothing(archive, scratch, wal_files, keys):
    """WAL-G with WALG_GPG_KEY_ID alone stores plain text."""
    cluster = wal_files(scratch, archive)
    for settings in ({"WALG_GPG_KEY_ID": "nobody@example.invalid", "GNUPGHOME": str(keys.gpg.home)},
                     {"WALG_PGP_KEY_PATH": "/nonexistent/key"}, {**HEX, "WALG_LIBSODIUM_KEY": "abcd"}):
        archive.fails("wal-push", cluster.segment_file(cluster.finished[0]), says=next(iter(settings)), **settings)
    assert not [key for key in archive.keys() if key.startswith("wal_005/")]
