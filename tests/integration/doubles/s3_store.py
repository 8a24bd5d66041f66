"""What the S3 double keeps, in memory: buckets, versions of objects, uploads under way."""
import dataclasses
import datetime
import hashlib
import itertools
import os

from .sigv4 import Refused, now

KEPT = ("content-type", "content-encoding", "cache-control", "x-amz-storage-class", "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")
CUSTOMER = "x-amz-server-side-encryption-customer-"


class Dropped:
    """Content too big to be kept: the length and the first bytes of each piece."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.size = sum(size for size, _ in pieces)

    @classmethod
    def of(cls, data):
        return cls([(len(data), bytes(data[:16]))])

    def __len__(self):
        return self.size


def joined(contents):
    if any(isinstance(each, Dropped) for each in contents):
        return Dropped([piece for each in contents for piece in each.pieces])
    return b"".join(contents)


@dataclasses.dataclass
class Version:
    data: bytes | Dropped
    etag: str
    modified: datetime.datetime
    version: str = "null"
    headers: dict = dataclasses.field(default_factory=dict)
    customer_key: str = ""  # md5 of the key of the customer's, base64
    marker: bool = False

    def retained(self):
        until = self.headers.get("x-amz-object-lock-retain-until-date")
        return bool(until) and datetime.datetime.fromisoformat(until.replace("Z", "+00:00")) > now()


@dataclasses.dataclass
class Part:
    data: bytes | Dropped
    etag: str
    modified: datetime.datetime


@dataclasses.dataclass
class Upload:
    key: str
    id: str
    headers: dict
    customer_key: str
    started: datetime.datetime
    parts: dict = dataclasses.field(default_factory=dict)
    done: Version | None = None


@dataclasses.dataclass
class Bucket:
    name: str
    region: str = ""  # empty: any
    versioning: str = ""
    versions: dict = dataclasses.field(default_factory=dict)  # key → newest first
    uploads: dict = dataclasses.field(default_factory=dict)
    numbers: itertools.count = dataclasses.field(default_factory=lambda: itertools.count(1))

    def current(self, key):
        """None if absent or deleted."""
        found = self.versions.get(key)
        return found[0] if found and not found[0].marker else None

    def version(self, key, version):
        for each in self.versions.get(key, []):
            if each.version == version:
                return each
        raise Refused(404, "NoSuchVersion", "The specified version does not exist.", Key=key)

    def objects(self):
        return {key: found[0].data for key, found in sorted(self.versions.items()) if not found[0].marker}

    def next_version(self):
        return f"v{next(self.numbers):06d}{os.urandom(4).hex()}" if self.versioning == "Enabled" else "null"

    def add(self, key, version):
        version.version = self.next_version()
        others = self.versions.get(key, [])
        if self.versioning != "Enabled":
            others = [each for each in others if each.version != "null"]
        self.versions[key] = [version, *others]

    def put(self, key, data, headers=None, etag=None, customer_key=""):
        content = data if isinstance(data, Dropped) else bytes(data)
        made = Version(content, etag or hashlib.md5(data).hexdigest(), now(), headers=headers or {}, customer_key=customer_key)
        self.add(key, made)
        return made

    def delete(self, key, version=None):
        """(version that was deleted or made, whether that is a marker)."""
        if version is not None:
            found = self.version(key, version)
            if found.retained():
                raise Refused(403, "AccessDenied", "Access Denied because object protected by object lock.")
            self.versions[key].remove(found)
            if not self.versions[key]:
                del self.versions[key]
            return version, found.marker
        if not self.versioning:
            self.versions.pop(key, None)
            return None, False
        marker = Version(b"", "", now(), marker=True)
        self.add(key, marker)
        return marker.version, True

    def upload(self, key, identity):
        found = self.uploads.get(identity)
        if not found or found.key != key:
            raise Refused(404, "NoSuchUpload", "The specified multipart upload does not exist.", UploadId=identity)
        return found

    def open_uploads(self):
        return [upload for upload in self.uploads.values() if not upload.done]


def folded(keys, prefix, delimiter, after):
    """Keys and common prefixes as a listing gives them, in byte order, each (name, key or None): those beyond `after`."""
    last = None
    for key in sorted(keys, key=lambda key: key.encode()):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if cut < 0 else key[:cut + len(delimiter)]
        if name == last or name.encode() <= after.encode():
            continue
        last = name
        yield name, key if cut < 0 else None
