"""What seawall stores the stock tools of each codec and cipher read, and the reverse, in every combination."""
import ciphers
import pytest
from ciphers import TESTDATA, through

CODECS = {"lz4": ("lz4", ["lz4", "-qc"], ["lz4", "-qdc"]), "zstd": ("zst", ["zstd", "-qc"], ["zstd", "-qdc"]),
          "brotli": ("br", ["brotli", "-c", "-q", "5"], ["brotli", "-dc"]),
          "lzma": ("lzma", ["xz", "--format=lzma", "-1", "-c"], ["xz", "--format=lzma", "-dc"]),
          "lzo": ("lzo", ["lzop", "-c"], ["lzop", "-dc"]), "gzip": ("gz", ["gzip", "-c"], None),
          "none": ("", ["cat"], ["cat"])}


class Plain:
    settings = {}
    encrypt = decrypt = staticmethod(lambda data: data)


class Gpg:
    def __init__(self, keys, _scratch):
        self.gpg = keys.gpg
        self.settings = {"WALG_PGP_KEY_PATH": keys.path("rsa2048.secret")}

    def encrypt(self, data):
        return self.gpg.encrypt(data, "rsa2048")

    def decrypt(self, data):
        return self.gpg.decrypt(data)


class Rnp:
    def __init__(self, keys, scratch):
        self.home = scratch.path
        keys.write("rnp.secret", (TESTDATA / "rsa.secret.asc").read_bytes())
        self.settings = {"WALG_PGP_KEY_PATH": keys.path("rnp.secret")}

    def encrypt(self, data):
        return ciphers.rnp(["-r", "rsa", "--encrypt"], "rsa.public.asc", data, self.home)

    def decrypt(self, data):
        return ciphers.rnp(["--decrypt"], "rsa.secret.asc", data, self.home)


class Sodium:
    settings = ciphers.sodium_settings()
    encrypt, decrypt = staticmethod(ciphers.sodium_encrypt), staticmethod(ciphers.sodium_decrypt)


CIPHERS = {"plain": lambda *_: Plain(), "gpg": Gpg, "rnp": Rnp, "libsodium": lambda *_: Sodium()}


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("codec", CODECS)
def test_both_read_what_the_other_wrote(scratch, archive, wal_files, keys, codec, cipher):
    suffix, encode, decode = CODECS[codec]
    other = CIPHERS[cipher](keys, scratch)
    archive.settings.update(other.settings)
    cluster = wal_files(scratch, archive)
    first, second = cluster.finished[:2]
    raw = cluster.segment_file(first).read_bytes()
    ending = f".{suffix}" if suffix else ""
    if decode:
        archive.ok("wal-push", cluster.segment_file(first), WALG_COMPRESSION_METHOD=codec, TOTAL_BG_UPLOADED_LIMIT=1)
        stored = (archive.root / f"wal_005/{first}{ending}").read_bytes()
        assert through(decode, other.decrypt(stored)) == raw
        assert cipher == "plain" or raw[:16] not in stored
    raw = cluster.segment_file(second).read_bytes()
    ciphers.harness.mkdir(archive.root / "wal_005")
    (archive.root / f"wal_005/{second}{ending}").write_bytes(other.encrypt(through(encode, raw)))
    ciphers.harness.give(archive.root, recursive=True)
    out = scratch.path / "back"
    archive.ok("wal-fetch", second, out, WALG_DOWNLOAD_CONCURRENCY=1)
    assert out.read_bytes() == raw
