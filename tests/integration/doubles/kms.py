"""Doubles of the services that keep keys: AWS KMS, and Yandex's KMS with its IAM, metadata and list of addresses.

A key is known by its id; what it encrypted is random bytes that only this process knows the plain text of. Requests are
looked at as strictly as the services look: signatures of AWS, tokens and their JSON Web Tokens (PS256) of Yandex."""
import base64
import binascii
import datetime
import functools
import hashlib
import itertools
import json
import os
import subprocess
import time

from . import sigv4
from .http_server import Answer, Double

BLOB_BYTES = 184  # of what AWS makes of 32 bytes


def reply(status, document):
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


class KeyService(Double):
    """What both have: requests one after the other in `log`, calls that are `denied`."""

    def __init__(self, keys):
        self.keys, self.denied = set(keys), set()
        self.sealed = {}  # encrypted → (key, plain)
        self.log = []
        super().__init__()

    def seal(self, key, plain, size):
        blob = os.urandom(size)
        self.sealed[blob] = (key, plain)
        return blob

    # --- what the HTTP server asks

    def begin(self, request):
        request.operation = self.operation_of(request)
        with self.lock:
            self.log.append(request.operation)
            return self.plan.choose(len(self.log), request.operation, "")

    def finished(self, request, rule, status):
        pass

    def refuse_early(self, request, rule):
        return None

    def respond(self, request, rule):
        if rule and rule.do == "error":
            return self.error(rule.status, rule.code, rule.message)
        if rule and rule.do == "text":
            return Answer(rule.status, {}, rule.text.encode())
        try:
            return self.carry_out(request)
        except sigv4.Refused as refused:
            return self.error(refused.status, refused.code, refused.message)
        except (KeyError, TypeError, json.JSONDecodeError, binascii.Error):
            return self.error(400, "ValidationException", "malformed request")


class AwsKmsDouble(KeyService):
    """`credentials`: those whose signatures count, as sigv4.check takes them."""

    # What the service calls what is wrong with a signature, where S3 calls it otherwise.
    NAMES = {"InvalidAccessKeyId": "UnrecognizedClientException", "SignatureDoesNotMatch": "InvalidSignatureException",
             "ExpiredToken": "ExpiredTokenException", "AccessDenied": "MissingAuthenticationTokenException"}

    def __init__(self, keys=("alias/backup",), region="eu-central-1", credentials=None):
        self.region = region
        self.credentials = {"AKIDKMS": sigv4.Key("kms/secret+key")} if credentials is None else credentials
        super().__init__(keys)

    def settings(self, key="alias/backup"):
        return {"WALG_CSE_KMS_ID": key, "WALG_CSE_KMS_REGION": self.region, "AWS_ENDPOINT_URL_KMS": self.endpoint,
                "AWS_ACCESS_KEY_ID": "AKIDKMS", "AWS_SECRET_ACCESS_KEY": "kms/secret+key"}

    def operation_of(self, request):
        return request.headers.get("x-amz-target", "").removeprefix("TrentService.")

    def error(self, status, code, message):
        return Answer(status, {"Content-Type": "application/x-amz-json-1.1"},
                      json.dumps({"__type": f"com.amazonaws.kms#{self.NAMES.get(code, code)}", "message": message}).encode())

    def carry_out(self, request):
        sigv4.check(request, dict(self.credentials), "kms", self.region, request.body)
        if request.method != "POST" or request.path != "/" or request.headers.get("content-type") != "application/x-amz-json-1.1":
            raise sigv4.Refused(400, "UnknownOperationException")
        if request.operation in self.denied:
            raise sigv4.Refused(400, "AccessDeniedException", f"User is not authorized to perform: kms:{request.operation}")
        asked = json.loads(request.body)
        if request.operation == "Encrypt":
            plain = base64.b64decode(asked["Plaintext"], validate=True)
            if asked["KeyId"] not in self.keys:
                raise sigv4.Refused(400, "NotFoundException", f"Key '{asked['KeyId']}' does not exist")
            blob = self.seal(asked["KeyId"], plain, BLOB_BYTES)
            return reply(200, {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": asked["KeyId"]})
        if request.operation == "Decrypt":
            blob = base64.b64decode(asked["CiphertextBlob"], validate=True)
            key, plain = self.sealed.get(blob, (None, None))
            if key is None or asked.get("KeyId", key) != key:
                raise sigv4.Refused(400, "InvalidCiphertextException", "")
            if key not in self.keys:
                raise sigv4.Refused(400, "DisabledException", f"{key} is disabled.")
            return reply(200, {"Plaintext": base64.b64encode(plain).decode(), "KeyId": key})
        raise sigv4.Refused(400, "UnknownOperationException")


@functools.lru_cache
def account_key():
    """(PEM, modulus): making one takes longer than a test."""
    pem = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
    modulus = subprocess.run(["openssl", "rsa", "-modulus", "-noout"], input=pem, capture_output=True, check=True).stdout
    return pem.decode(), int(modulus.split(b"=")[1], 16)


def padded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pss_is_valid(modulus, message, signature, exponent=65537):
    """RSASSA-PSS with SHA-256, MGF1 and a salt of 32 bytes (RFC 8017, 9.1.2)."""
    bits = modulus.bit_length() - 1
    size = (bits + 7) // 8
    if len(signature) != (modulus.bit_length() + 7) // 8:
        return False
    encoded = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    masked, digest = encoded[:-33], encoded[-33:-1]
    if encoded[-1] != 0xBC:
        return False
    mask = b"".join(hashlib.sha256(digest + count.to_bytes(4, "big")).digest() for count in range((len(masked) + 31) // 32))
    block = bytearray(a ^ b for a, b in zip(masked, mask))
    block[0] &= 0xFF >> (8 * size - bits)
    if any(block[:-33]) or block[-33] != 1:
        return False
    return hashlib.sha256(bytes(8) + hashlib.sha256(message).digest() + bytes(block[-32:])).digest() == digest


class YandexDouble(KeyService):
    """`life`: seconds that a token is good for."""

    AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"

    def __init__(self, directory, keys=("abjkey",), life=3600):
        self.life = life
        self.tokens = {}
        self.numbers = itertools.count(1)
        pem, self.modulus = account_key()
        self.account_file = directory / "service-account.json"
        self.account_file.write_text(json.dumps({
            "id": "ajekey", "service_account_id": "ajeaccount", "key_algorithm": "RSA_2048",
            "private_key": f"PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <ajekey>\n{pem}"}))
        super().__init__(keys)

    def settings(self, key="abjkey"):
        return {"YC_CSE_KMS_KEY_ID": key, "YC_SERVICE_ACCOUNT_KEY_FILE": self.account_file, "SEAWALL_YC_ENDPOINT": self.endpoint}

    def operation_of(self, request):
        known = {"/endpoints": "endpoints", "/iam/v1/tokens": "tokens",
                 "/computeMetadata/v1/instance/service-accounts/default/token": "metadata"}
        return known.get(request.path) or request.path.rpartition(":")[2]

    def error(self, status, code, message):
        return reply(status, {"code": code, "message": message, "details": []})

    def issue(self):
        token = f"t1.{next(self.numbers)}.{os.urandom(20).hex()}"
        self.tokens[token] = time.monotonic() + self.life
        return token

    def carry_out(self, request):
        if request.operation == "endpoints":
            address = f"localhost:{self.server.port}"
            return reply(200, {"endpoints": [{"id": name, "address": address} for name in ("compute", "iam", "kms", "kms-crypto")]})
        if request.operation == "metadata":
            if request.headers.get("metadata-flavor") != "Google":
                return Answer(403)
            return reply(200, {"access_token": self.issue(), "expires_in": self.life, "token_type": "Bearer"})
        if request.operation == "tokens":
            return self.exchange(json.loads(request.body)["jwt"])
        return self.crypto(request) if request.path.startswith("/kms/v1/keys/") else Answer(404, {}, b"not found")

    def exchange(self, jwt):
        header, claims, signature = jwt.split(".")
        if json.loads(padded(header)) != {"typ": "JWT", "alg": "PS256", "kid": "ajekey"}:
            return self.error(401, 16, "unknown key")
        told = json.loads(padded(claims))
        good = (told["iss"] == "ajeaccount" and told["aud"] == self.AUDIENCE and abs(told["iat"] - time.time()) < 60
                and 0 < told["exp"] - told["iat"] <= 3600)
        if not good or not pss_is_valid(self.modulus, f"{header}.{claims}".encode(), padded(signature)):
            return self.error(401, 16, "the token is not valid")
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.life)
        return reply(200, {"iamToken": self.issue(), "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})

    def crypto(self, request):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) < time.monotonic():
            return self.error(401, 16, "The token is invalid")
        key, _, action = request.path.removeprefix("/kms/v1/keys/").partition(":")
        if action in self.denied:
            return self.error(403, 7, "Permission denied")
        if key not in self.keys:
            return self.error(404, 5, f"Symmetric key {key} not found")
        asked = json.loads(request.body)
        if action == "generateDataKey" and asked == {"dataKeySpec": "AES_256"}:
            plain = os.urandom(32)
            return reply(200, {"keyId": key, "versionId": "1", "dataKeyPlaintext": base64.b64encode(plain).decode(),
                               "dataKeyCiphertext": base64.b64encode(self.seal(key, plain, 93)).decode()})
        if action == "decrypt":
            owner, plain = self.sealed.get(base64.b64decode(asked["ciphertext"], validate=True), (None, None))
            if owner != key:
                return self.error(400, 3, "The ciphertext is not valid")
            return reply(200, {"keyId": key, "versionId": "1", "plaintext": base64.b64encode(plain).decode()})
        return self.error(400, 3, "invalid request")
