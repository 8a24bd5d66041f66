"""Backups and WAL in every codec with every cipher: they recover, and WAL-G ($WALG_BIN) and seawall recover each other's."""
import ciphers
import pytest

pytestmark = pytest.mark.once

CODECS = ("lz4", "zstd", "brotli", "lzma", "lzo", "none")
CIPHERS = ("plain", "libsodium", "openpgp")
SHORT = {("zstd", "openpgp"), ("brotli", "libsodium"), ("lzo", "plain")}  # the others are in ./test --all
SUFFIX = {"lz4": ".lz4", "zstd": ".zst", "brotli": ".br", "lzma": ".lzma", "lzo": ".lzo", "none": ""}


def encodings(codecs=CODECS, short=SHORT):
    return [pytest.param(codec, cipher, id=f"{codec}-{cipher}", marks=[] if (codec, cipher) in short else [pytest.mark.long])
            for codec in codecs for cipher in CIPHERS]


def settings(keys, codec, cipher):
    secret = {"plain": {}, "libsodium": ciphers.sodium_settings(), "openpgp": {"WALG_PGP_KEY_PATH": keys.path("rsa2048.secret")}}
    return {"WALG_COMPRESSION_METHOD": codec, **secret[cipher]}


def stored_as(archive, codec):
    names = [key for key in archive.keys() if "/tar_partitions/" in key or (key.startswith("wal_005/") and "backup" not in key)]
    endings = SUFFIX[codec] if codec != "none" else ("tar", *"0123456789ABCDEF")
    assert len(names) > 4 and all(key.endswith(endings) for key in names), names


@pytest.mark.parametrize("codec,cipher", encodings())
def test_full_backup_recovers(scratch, archive, keys, codec, cipher):
    digest = ciphers.backed_up(scratch, archive, settings(keys, codec, cipher))
    stored_as(archive, codec)
    ciphers.recover(scratch, archive, digest)


@pytest.mark.parametrize("codec,cipher", encodings([codec for codec in CODECS if codec != "lzo"]))  # WAL-G reads lzo only
def test_walg_recovers_what_seawall_wrote(scratch, archive, keys, walg, codec, cipher):
    digest = ciphers.backed_up(scratch, archive, settings(keys, codec, cipher))
    stored_as(archive, codec)
    ciphers.recover(scratch, archive, digest, walg)


@pytest.mark.parametrize("codec,cipher", encodings([codec for codec in CODECS if codec != "lzo"]))
def test_seawall_recovers_a_chain_that_walg_wrote(scratch, archive, keys, walg, codec, cipher):
    digest = ciphers.backed_up(scratch, archive, settings(keys, codec, cipher), walg, deltas=1)
    stored_as(archive, codec)
    assert ["_D_" in name for name in archive.backups()] == [False, True]
    ciphers.recover(scratch, archive, digest)
    ciphers.recover(scratch, archive, digest, None, "--reverse-unpack", "--skip-redundant-tars")


@pytest.mark.parametrize("codec,cipher", encodings(short={("brotli", "openpgp")}))
def test_remote_backup_recovers(scratch, archive, keys, codec, cipher):
    digest = ciphers.backed_up(scratch, archive, settings(keys, codec, cipher), remote=True)
    stored_as(archive, codec)
    ciphers.recover(scratch, archive, digest)


@pytest.mark.parametrize("codec,cipher", encodings([codec for codec in CODECS if codec != "lzo"], {("lzma", "libsodium")}))
@pytest.mark.parametrize("writer", ["seawall", "walg"])
def test_remote_backups_of_the_other_recover(scratch, archive, keys, walg, codec, cipher, writer):
    digest = ciphers.backed_up(scratch, archive, settings(keys, codec, cipher), walg if writer == "walg" else None, remote=True)
    stored_as(archive, codec)
    ciphers.recover(scratch, archive, digest, None if writer == "walg" else walg)
