"""Keys, and encryption by other programs: GnuPG, RNP and libsodium through ctypes."""
import ctypes
import ctypes.util
import os
import pathlib
import subprocess

import seawall_harness as harness

TESTDATA = harness.ROOT / "src/crypto/testdata"
SODIUM_KEY = bytes(range(32))
PHRASE = "a phrase"


def through(argv, data, **rest):
    done = subprocess.run([str(word) for word in argv], input=data, capture_output=True, check=False, **rest)
    assert done.returncode == 0, f"{argv}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


class GnuPG:
    """A key ring of the user that the program runs as."""

    def __init__(self, home):
        self.home = harness.give(harness.mkdir(home, 0o700))
        # Else the agent measures for seconds how often it can hash.
        harness.give(harness.touch(self.home / "gpg-agent.conf")).write_text("s2k-count 65536\nallow-loopback-pinentry\n")

    def run(self, *arguments, data=b"", phrase=""):
        argv = ["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--trust-model", "always",
                "--passphrase", phrase, *arguments]
        env = {**harness.base_environment(self.home), "GNUPGHOME": str(self.home)}
        return through(argv, data, env=env, cwd="/", **harness.other_user())

    def make_key(self, name, phrase="", **parameters):
        lines = [*(f"{key.replace('_', '-')}: {value}" for key, value in parameters.items()), f"Name-Email: {name}@example.invalid",
                 "Expire-Date: 0", f"Passphrase: {phrase}" if phrase else "%no-protection", "%commit"]
        self.run("--generate-key", data="\n".join(lines).encode())

    def public(self, *names):
        return self.run("--armor", "--export", *(f"{name}@example.invalid" for name in names))

    def secret(self, name, phrase=""):
        return self.run("--armor", "--export-secret-keys", f"{name}@example.invalid", phrase=phrase)

    def encrypt(self, data, name, *more):
        return self.run(*more, "-r", f"{name}@example.invalid", "-e", data=data)

    def decrypt(self, data, phrase=""):
        return self.run("-d", data=data, phrase=phrase)

    def close(self):
        env = {**harness.base_environment(self.home), "GNUPGHOME": str(self.home)}
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False, **harness.other_user())


KINDS = {"rsa2048": {"Key_Type": "RSA", "Key_Length": 2048, "Subkey_Type": "RSA", "Subkey_Length": 2048},
         "rsa4096": {"Key_Type": "RSA", "Key_Length": 4096, "Subkey_Type": "RSA", "Subkey_Length": 4096},
         "curve": {"phrase": PHRASE, "Key_Type": "EDDSA", "Key_Curve": "ed25519", "Subkey_Type": "ECDH",
                   "Subkey_Curve": "cv25519"}}


class Keys:
    """One key of each kind that GnuPG made, in its ring and as files: NAME.public, NAME.secret, all.public."""

    def __init__(self, directory):
        self.directory = harness.give(harness.mkdir(directory))
        self.gpg = GnuPG(self.directory / "gpg")
        for name, parameters in KINDS.items():
            self.gpg.make_key(name, **parameters)
            self.write(f"{name}.public", self.gpg.public(name))
            self.write(f"{name}.secret", self.gpg.secret(name, parameters.get("phrase", "")))
        self.write("all.public", self.gpg.public(*KINDS))

    def write(self, name, data):
        harness.give(harness.touch(self.directory / name)).write_bytes(data)

    def path(self, name):
        return str(self.directory / name)

    def text(self, name):
        return pathlib.Path(self.path(name)).read_text()


def rnp(arguments, key, data, home):
    argv = ["rnp", "--keyfile", TESTDATA / key, "--output", "-", *arguments, "-"]
    return through(argv, data, env={**os.environ, "HOME": str(home)})


_sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
CHUNK, OVERHEAD, HEADER, TAG_FINAL = 8192, 17, 24, 3


def sodium_encrypt(data, key=SODIUM_KEY):
    """As WAL-G does: chunks of 8192 bytes, the last shorter and marked."""
    state, header = ctypes.create_string_buffer(256), ctypes.create_string_buffer(HEADER)
    assert _sodium.crypto_secretstream_xchacha20poly1305_init_push(state, header, key) == 0
    out, at = header.raw, 0
    while True:
        chunk = data[at:at + CHUNK]
        at += CHUNK
        sealed = ctypes.create_string_buffer(len(chunk) + OVERHEAD)
        tag = ctypes.c_ubyte(TAG_FINAL if len(chunk) < CHUNK else 0)
        assert _sodium.crypto_secretstream_xchacha20poly1305_push(state, sealed, None, chunk, ctypes.c_ulonglong(len(chunk)), None,
                                                                  ctypes.c_ulonglong(0), tag) == 0
        out += sealed.raw
        if len(chunk) < CHUNK:
            return out


def sodium_decrypt(data, key=SODIUM_KEY):
    state = ctypes.create_string_buffer(256)
    assert _sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, data[:HEADER], key) == 0
    out, at, tag = b"", HEADER, ctypes.c_ubyte(0)
    while at < len(data):
        sealed = data[at:at + CHUNK + OVERHEAD]
        at += len(sealed)
        chunk = ctypes.create_string_buffer(max(1, len(sealed) - OVERHEAD))
        assert _sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, None, ctypes.byref(tag), sealed,
                                                                  ctypes.c_ulonglong(len(sealed)), None, ctypes.c_ulonglong(0)) == 0
        out += chunk.raw[:len(sealed) - OVERHEAD]
    assert tag.value == TAG_FINAL
    return out


def sodium_settings(key=SODIUM_KEY):
    return {"WALG_LIBSODIUM_KEY": key.hex(), "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"}


def fill(cluster):
    cluster.sql("create table t as select g, md5(g::text) m from generate_series(1, 5000) g; create index on t(m); checkpoint")


def recover(scratch, archive, digest, program=None, *flags):
    """Restores and recovers with `program`, and compares the tables."""
    restored = scratch.cluster(archive, empty=True)
    archive.ok("backup-fetch", restored.data, "LATEST", *flags, program=program, timeout=300)
    restored.recovery(restore_command=restored.restore_command().replace(str(scratch.program), str(program or scratch.program)))
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest
    restored.stop()


def backed_up(scratch, archive, writes, program=None, deltas=0, remote=False):
    """A cluster with a backup, deltas on it and WAL after them, stopped; its digest."""
    archive.settings.update(writes)
    cluster = scratch.cluster(archive)
    if program:
        command = cluster.archive_command().replace(str(scratch.program), str(program))
        cluster.configure("postgresql.auto.conf", archive_command=command)
    cluster.start()
    fill(cluster)
    for number in range(1 + deltas):
        archive.ok("backup-push", *([] if remote else [cluster.data]), program=program, timeout=300, WALG_DELTA_MAX_STEPS=deltas,
                   **cluster.connection())
        cluster.sql(f"update t set m = 'changed {number}' where g % 50 = {number}; checkpoint")
    cluster.sql("insert into t select g, 'later' from generate_series(1, 100) g")
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    return digest
