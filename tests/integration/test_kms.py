"""Objects whose keys a key service encrypts: AWS KMS, Yandex KMS, and OpenPGP with a key ring that Yandex encrypted."""
import base64
import json
import time

import ciphers
import pytest
import s3_harness
from doubles import faults
from doubles.kms import AwsKmsDouble, YandexDouble
from doubles.tunnel import Tunnel
from seawall_harness import ROOT, SLOW, give, mkdir

METHODS = ["aws", "yandex", "envelope"]
KEYRING = ROOT / "src/crypto/testdata/rsa.secret.asc"


class Service:
    """A double with the settings of one method, and what its messages are to name."""

    def __init__(self, method, directory):
        self.method = method
        self.key_setting = {"aws": "WALG_CSE_KMS_ID", "yandex": "YC_CSE_KMS_KEY_ID",
                            "envelope": "WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID"}[method]
        if method == "aws":
            self.double = AwsKmsDouble(keys=("alias/backup", "alias/other"))
            self.settings = self.double.settings()
            self.encrypting, self.decrypting, self.start = "Encrypt", "Decrypt", None
            self.secrets = ["kms/secret+key"]
            return
        self.double = YandexDouble(directory, keys=("abjkey", "abjother"))
        give(self.double.account_file)
        self.settings = self.double.settings()
        self.encrypting, self.decrypting, self.start = "generateDataKey", "decrypt", b"yckms\x01"
        self.secrets = [json.loads(self.double.account_file.read_text())["private_key"].splitlines()[3]]
        if method == "envelope":
            ring = self.double.seal("abjkey", KEYRING.read_bytes(), 200)
            file = directory / "ring"
            file.write_text(base64.b64encode(ring).decode())
            give(file)
            self.settings = {"WALG_ENVELOPE_PGP_KEY_PATH": file, "WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID": "abjkey",
                             "WALG_ENVELOPE_PGP_YC_SERVICE_ACCOUNT_KEY_FILE": self.double.account_file,
                             "WALG_ENVELOPE_PGP_YC_ENDPOINT": self.double.endpoint}
            self.encrypting, self.start = "decrypt", b"envelope-yc-kms\x01"

    def other_key(self):
        return {self.key_setting: "alias/other" if self.method == "aws" else "abjother"}


@pytest.fixture(params=METHODS)
def service(request, scratch):
    made = Service(request.param, give(mkdir(scratch.path / "kms")))
    yield made
    made.double.close()


@pytest.fixture
def sealed(scratch, service):
    """An archive that the service's keys encrypt; it gives up soon, and what is pushed is one segment."""
    return scratch.archive(SEAWALL_REQUEST_TIMEOUT="3s", TOTAL_BG_UPLOADED_LIMIT=0, **service.settings)


def shown(service, result):
    for secret in [*service.secrets, *getattr(service.double, "tokens", {})]:
        assert secret not in result.err + result.out, "a secret is shown"
    return result


def test_a_segment_goes_and_comes_back(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    first, second = cluster.finished[:2]
    shown(service, sealed.ok("wal-push", cluster.segment_file(first), WALG_LOG_LEVEL="DEVEL"))
    sealed.ok("wal-push", cluster.segment_file(second))
    stored = (sealed.root / f"wal_005/{first}.lz4").read_bytes()
    if service.start:
        assert stored.startswith(service.start)
    else:
        assert stored[:184] in service.double.sealed and stored[184:186] in (b"\x20\x00", b"\x20\x01")
    assert b"\x04\x22\x4d\x18" not in stored[:400], "the frame of lz4 is not to be seen"
    shown(service, sealed.ok("wal-fetch", first, scratch.path / "back", WALG_LOG_LEVEL="DEVEL"))
    assert (scratch.path / "back").read_bytes() == cluster.segment_file(first).read_bytes()
    assert service.encrypting in service.double.log and service.decrypting in service.double.log


def test_a_backup_goes_and_comes_back(scratch, service, sealed):
    cluster = scratch.cluster(sealed)
    cluster.start()
    cluster.sql("create table t as select g, md5(g::text) from generate_series(1, 5000) g")
    for where in ([cluster.data], []):  # of the files here, and of those that the server sends
        sealed.ok("backup-push", *where, **cluster.connection(), SEAWALL_REQUEST_TIMEOUT="60s")
    digest = cluster.digest()
    cluster.archive_all()
    cluster.stop()
    restored = scratch.restored(sealed)
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


def test_what_the_service_refuses_names_the_setting(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    first, second = cluster.finished[:2]
    sealed.ok("wal-push", cluster.segment_file(first))
    before = sealed.keys()
    # A key that does not exist.
    missing = {service.key_setting: "alias/nobody" if service.method == "aws" else "abjnobody"}
    shown(service, sealed.fails("wal-push", cluster.segment_file(second), says=[service.key_setting, "nobody"], **missing))
    # Permission.
    service.double.denied = {service.encrypting}
    result = sealed.fails("wal-push", cluster.segment_file(second), says=[service.key_setting])
    assert ("kms:Encrypt" if service.method == "aws" else "kms.keys.encrypterDecrypter") in shown(service, result).err, result
    service.double.denied = {service.decrypting}
    shown(service, sealed.fails("wal-fetch", first, scratch.path / "back", code=126, says=[service.key_setting, first]))
    service.double.denied = set()
    assert sealed.keys() == before and not (scratch.path / "back").exists()


def test_a_key_of_an_object_that_the_service_does_not_know(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    name = cluster.finished[0]
    sealed.ok("wal-push", cluster.segment_file(name))
    if service.method == "aws":
        service.double.sealed.clear()  # as of another account
        sealed.fails("wal-fetch", name, scratch.path / "back", code=126, says=["InvalidCiphertext", "WALG_CSE_KMS_ID", name])
        return
    sealed.fails("wal-fetch", name, scratch.path / "back", code=126, says=["another key", service.key_setting, name],
                 **service.other_key())


def test_another_key_now_reads_what_an_earlier_one_encrypted(scratch, wal_files):
    """AWS knows of what it encrypted with which of its keys that was."""
    service = Service("aws", scratch.path)
    archive = scratch.archive(**service.settings)
    cluster = wal_files(scratch, archive)
    name = cluster.finished[0]
    archive.ok("wal-push", cluster.segment_file(name))
    archive.ok("wal-fetch", name, scratch.path / "back", **service.other_key())
    service.double.close()


def test_wrong_credentials(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    segment = cluster.segment_file(cluster.finished[0])
    if service.method == "aws":
        sealed.fails("wal-push", segment, says="AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY="wrong-secret-of-it")
        sealed.fails("wal-push", segment, says="AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID="AKIDNOBODY")
        sealed.fails("wal-push", segment, says="WALG_CSE_KMS_REGION", WALG_CSE_KMS_REGION=None)
        return
    setting = "YC_SERVICE_ACCOUNT_KEY_FILE" if service.method == "yandex" else "WALG_ENVELOPE_PGP_YC_SERVICE_ACCOUNT_KEY_FILE"
    told = json.loads(service.double.account_file.read_text())
    other = scratch.path / "other.json"
    other.write_text(json.dumps({**told, "service_account_id": "ajestranger"}))
    shown(service, sealed.fails("wal-push", segment, says=[setting, "ajestranger"], **{setting: give(other)}))
    other.write_text(json.dumps({**told, "private_key": "no key"}))
    shown(service, sealed.fails("wal-push", segment, says=[setting, "other.json"], **{setting: other}))
    sealed.fails("wal-push", segment, says=[setting, "nowhere.json"], **{setting: scratch.path / "nowhere.json"})
    nobody = "127.0.0.1:1"
    sealed.fails("wal-push", segment, says=[setting, nobody], **{setting: None, "YC_METADATA_ADDR": nobody})
    assert sealed.wal() == []


def test_the_account_of_a_virtual_machine(scratch, service, sealed, wal_files):
    if service.method == "aws":
        return  # credentials are S3's, tested there
    cluster = wal_files(scratch, sealed)
    settings = {"YC_SERVICE_ACCOUNT_KEY_FILE": None, "WALG_ENVELOPE_PGP_YC_SERVICE_ACCOUNT_KEY_FILE": None,
                "YC_METADATA_ADDR": service.double.endpoint.removeprefix("http://")}
    sealed.ok("wal-push", cluster.segment_file(cluster.finished[0]), **settings)
    assert "metadata" in service.double.log and "tokens" not in service.double.log


def test_a_service_that_is_away_for_a_moment(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    name = cluster.finished[0]
    service.double.fail({"operation": service.encrypting, "times": 2, **faults.error(503, "KMSInternalException")})
    result = shown(service, sealed.ok("wal-push", cluster.segment_file(name), SEAWALL_REQUEST_TIMEOUT="60s"))
    assert "attempt 3" in result.err, result
    service.double.fail({"operation": service.decrypting, "do": "reset", "of": "answer", "at": 0})
    sealed.ok("wal-fetch", name, scratch.path / "back", SEAWALL_REQUEST_TIMEOUT="60s")
    assert (scratch.path / "back").read_bytes() == cluster.segment_file(name).read_bytes()


def test_a_service_that_is_down(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    first, second = cluster.finished[:2]
    sealed.ok("wal-push", cluster.segment_file(first))
    service.double.close()
    before = time.monotonic()
    result = sealed.fails("wal-push", cluster.segment_file(second), says=[service.key_setting, "attempts"])
    shown(service, result)
    sealed.fails("wal-fetch", first, scratch.path / "back", code=126, says=[service.key_setting, first])
    assert time.monotonic() - before < 30 * SLOW, "both end within SEAWALL_REQUEST_TIMEOUT and a little"
    assert sealed.wal() == [first]


def test_answers_that_are_none(scratch, service, sealed, wal_files):
    cluster = wal_files(scratch, sealed)
    for text in ("It works!", "{}", '{"CiphertextBlob": "%%", "dataKeyPlaintext": 7, "plaintext": ""}'):
        service.double.fail({"operation": service.encrypting, "do": "text", "text": text})
        shown(service, sealed.fails("wal-push", cluster.segment_file(cluster.finished[0]), says=service.key_setting))
    assert sealed.wal() == []


def test_a_token_that_ends_is_renewed(scratch, wal_files):
    service = Service("yandex", give(mkdir(scratch.path / "kms")))
    service.double.life = 0.2
    archive = scratch.archive(**service.settings)
    cluster = wal_files(scratch, archive)
    # Neighbours are pushed along in one process, each with a key of its own.
    archive.ok("wal-push", cluster.segment_file(cluster.finished[0]))
    assert len(archive.wal()) > 5 and service.double.log.count("generateDataKey") > 5
    assert service.double.log.count("tokens") > 1
    service.double.close()


def test_no_such_endpoint(scratch, wal_files):
    service = Service("yandex", give(mkdir(scratch.path / "kms")))
    archive = scratch.archive(SEAWALL_REQUEST_TIMEOUT="2s", **service.settings)
    segment = wal_files(scratch, archive).segment_file
    name = wal_files(scratch, archive).finished[0]
    archive.fails("wal-push", segment(name), says="SEAWALL_YC_ENDPOINT", SEAWALL_YC_ENDPOINT="ftp://x")
    archive.fails("wal-push", segment(name), says="kms-crypto", SEAWALL_YC_ENDPOINT=service.double.endpoint + "/iam")
    service.double.close()


@pytest.mark.once
@pytest.mark.parametrize("writer", ["seawall", "walg"])
def test_backups_and_wal_of_the_other_recover(scratch, walg, writer):
    """WAL-G asks Amazon's own host by TLS: it is led to the double, which its signatures satisfy as well."""
    double = AwsKmsDouble()
    host = f"kms.{double.region}.amazonaws.com"
    pair = s3_harness.certificate(give(mkdir(scratch.path / "tls")), "amazon", f"DNS:{host}")
    tunnel = Tunnel(double.server.port, s3_harness.ssl_context(pair))
    theirs = {"AWS_REGION": double.region, "HTTPS_PROXY": tunnel.address, "SSL_CERT_FILE": pair[0], "AWS_EC2_METADATA_DISABLED": "true"}
    archive = scratch.archive(**theirs)
    digest = ciphers.backed_up(scratch, archive, double.settings(), walg if writer == "walg" else None)
    name, = archive.backups()
    for key in archive.keys(f"basebackups_005/{name}/tar_partitions") + archive.keys("wal_005"):
        assert (archive.root / key).read_bytes()[:184] in double.sealed, key
    ciphers.recover(scratch, archive, digest, None if writer == "walg" else walg)
    assert tunnel.asked == {f"{host}:443"}
    tunnel.close()
    double.close()
