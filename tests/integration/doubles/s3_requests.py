"""The S3 operations of the double: what each request must carry, and what it is answered."""
import base64
import binascii
import datetime
import hashlib
import os
import re
import urllib.parse
import xml.etree.ElementTree as tree
import zlib
from xml.sax.saxutils import escape

from . import sigv4
from .checksums import crc32c
from .http_server import Answer
from .s3_store import CUSTOMER, KEPT, Bucket, Dropped, Part, Upload, joined
from .sigv4 import Refused

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
CHECKSUMS = {"crc32c": lambda data: crc32c(data).to_bytes(4, "big"), "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
             "sha256": lambda data: hashlib.sha256(data).digest(), "sha1": lambda data: hashlib.sha1(data).digest()}
BUCKET_OPERATIONS = {
    "GET": {"location": "GetBucketLocation", "versioning": "GetBucketVersioning", "versions": "ListObjectVersions",
            "uploads": "ListMultipartUploads", "object-lock": "GetObjectLockConfiguration", "list-type": "ListObjectsV2",
            "": "ListObjects"},
    "PUT": {"versioning": "PutBucketVersioning", "": "CreateBucket"},
    "HEAD": {"": "HeadBucket"}, "DELETE": {"": "DeleteBucket"}, "POST": {"delete": "DeleteObjects"}}
OBJECT_OPERATIONS = {
    "GET": {"uploadId": "ListParts", "": "GetObject"}, "HEAD": {"": "HeadObject"},
    "PUT": {"uploadId": "UploadPart", "": "PutObject"},
    "POST": {"uploads": "CreateMultipartUpload", "uploadId": "CompleteMultipartUpload"},
    "DELETE": {"uploadId": "AbortMultipartUpload", "": "DeleteObject"}}


def operation_of(request):
    """The name of the operation, "" if there is none such."""
    if not request.bucket:
        return "ListBuckets" if request.method == "GET" else ""
    choices = (OBJECT_OPERATIONS if request.key else BUCKET_OPERATIONS).get(request.method, {})
    arguments = request.arguments()
    name = next((choices[word] for word in choices if word and word in arguments), choices.get("", ""))
    if name in ("PutObject", "UploadPart") and "x-amz-copy-source" in request.headers:
        return {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}[name]
    return name


def xml(root, *children):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{XMLNS}">{"".join(children)}</{root}>'.encode()


def element(name, value):
    return f"<{name}>{escape(str(value))}</{name}>"


def error_body(refused, request):
    fields = {"Code": refused.code, "Message": refused.message, **refused.elements,
              "RequestId": f"R{request.number}", "HostId": "double"}
    inner = "".join(element(*pair) for pair in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()


def quoted(etag):
    return f'"{etag}"'


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def http_date(moment):
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def decoded_base64(text, size, code="InvalidDigest"):
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != size:
        raise Refused(400, code, "The value is not valid base64 of the right length.")
    return raw


def split_trailer(body):
    """(content, trailing headers) of a body in aws-chunked form without signatures."""
    content, place = bytearray(), 0
    while True:
        end = body.index(b"\r\n", place)
        size = int(body[place:end], 16)
        place = end + 2
        if not size:
            break
        content += body[place:place + size]
        place += size + 2
    pairs = [line.partition(":")[::2] for line in body[place:].decode().strip().split("\r\n")]
    return bytes(content), {name.strip().lower(): value.strip() for name, value in pairs if name}


def check_body(request):
    """The payload hash that was signed, the length, and every digest that was sent. May replace the body by its content."""
    headers = request.headers
    if request.method in ("PUT", "POST") and "content-length" not in headers:
        raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    said = headers.get("x-amz-content-sha256", "")
    if said in (sigv4.UNSIGNED, sigv4.TRAILER) and not request.secure:
        raise Refused(400, "InvalidRequest", "An unsigned payload needs TLS")
    if said == sigv4.TRAILER:
        request.body, trailer = split_trailer(request.body)
        if str(len(request.body)) != headers.get("x-amz-decoded-content-length") or headers.get("x-amz-trailer") not in trailer:
            raise Refused(400, "IncompleteBody", "The length or the trailer is not the one announced")
        headers.update(trailer)
    elif said != sigv4.UNSIGNED:
        if not re.fullmatch("[0-9a-f]{64}", said):
            raise Refused(400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.")
        if hashlib.sha256(request.body).hexdigest() != said:
            raise Refused(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match.")
    if "content-md5" in headers and decoded_base64(headers["content-md5"], 16) != hashlib.md5(request.body).digest():
        raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    for name, digest in CHECKSUMS.items():
        sent = headers.get(f"x-amz-checksum-{name}")
        if sent is not None and request.operation != "CompleteMultipartUpload":
            wanted = digest(request.body)
            if decoded_base64(sent, len(wanted), "InvalidRequest") != wanted:
                raise Refused(400, "BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.")


def need_digest(request, why):
    if not any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in request.headers):
        raise Refused(400, "InvalidRequest", f"Content-MD5 or x-amz-checksum- HTTP header is required for {why}")


def check_shape(request, arguments):
    if request.key and len(request.key.encode()) > 1024:
        raise Refused(400, "KeyTooLongError", "Your key is too long")
    storage_class = request.headers.get("x-amz-storage-class", "STANDARD")
    if storage_class not in ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER",
                             "DEEP_ARCHIVE", "REDUCED_REDUNDANCY"):
        raise Refused(400, "InvalidStorageClass", "The storage class you specified is not valid")
    if "x-amz-object-lock-mode" in request.headers and request.operation == "PutObject":
        need_digest(request, "Put Object requests with Object Lock parameters")
    if request.operation == "DeleteObjects":
        need_digest(request, "DeleteObjects")
    if "partNumber" in arguments and not 1 <= int(arguments["partNumber"]) <= 10000:
        raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")


def customer_key(request, prefix=CUSTOMER):
    """md5 of the key that the customer gave for encryption, checked; "" if none was given."""
    headers = request.headers
    given = [headers.get(prefix + part) for part in ("algorithm", "key", "key-md5")]
    if given == [None] * 3:
        return ""
    if not request.secure:
        raise Refused(400, "InvalidRequest", "Requests specifying Server Side Encryption with Customer provided keys must be "
                      "made over a secure connection.")
    if given[0] != "AES256" or None in given:
        raise Refused(400, "InvalidArgument", "The headers of a customer's key go together")
    raw = decoded_base64(given[1], 32, "InvalidArgument")
    if decoded_base64(given[2], 16, "InvalidArgument") != hashlib.md5(raw).digest():
        raise Refused(400, "InvalidArgument", "The calculated MD5 hash of the key did not match the hash that was provided.")
    return given[2]


def kept_headers(request):
    kept = {name: value for name, value in request.headers.items() if name in KEPT or name.startswith("x-amz-meta-")}
    for name in CHECKSUMS:
        if f"x-amz-checksum-{name}" in request.headers:
            kept[f"x-amz-checksum-{name}"] = request.headers[f"x-amz-checksum-{name}"]
    return kept


class Operations:
    """Each method is one operation; the caller holds the double's lock and has checked signature and body."""

    def __init__(self, settings):
        self.settings = settings
        self.buckets = {}

    # --- buckets

    def bucket(self, request):
        found = self.buckets.get(request.bucket)
        if not found:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=request.bucket)
        return found

    def ListBuckets(self, request):
        return Answer(200, {}, xml("ListAllMyBucketsResult", "<Buckets>", *(
            f"<Bucket>{element('Name', name)}</Bucket>" for name in sorted(self.buckets)), "</Buckets>"))

    def CreateBucket(self, request):
        self.buckets.setdefault(request.bucket, Bucket(request.bucket, self.settings.region or ""))
        return Answer(200, {"Location": "/" + request.bucket})

    def HeadBucket(self, request):
        return Answer(200, {"x-amz-bucket-region": self.bucket(request).region or "us-east-1"})

    def DeleteBucket(self, request):
        if self.bucket(request).versions:
            raise Refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
        del self.buckets[request.bucket]
        return Answer(204)

    def GetBucketLocation(self, request):
        region = self.bucket(request).region
        return Answer(200, {}, xml("LocationConstraint", escape("" if region == "us-east-1" else region)))

    def GetBucketVersioning(self, request):
        status = self.bucket(request).versioning
        return Answer(200, {}, xml("VersioningConfiguration", element("Status", status) if status else ""))

    def PutBucketVersioning(self, request):
        self.bucket(request).versioning = tree.fromstring(request.body).findtext(f"{{{XMLNS}}}Status")
        return Answer(200)

    def GetObjectLockConfiguration(self, request):
        self.bucket(request)
        return Answer(200, {}, xml("ObjectLockConfiguration", element("ObjectLockEnabled", "Enabled")))

    # --- objects

    def described(self, version, request):
        """The headers that tell of a version; Refused unless the key that it was encrypted with is given."""
        if version.customer_key != customer_key(request):
            raise Refused(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct "
                          "parameters must be provided to retrieve the object.")
        headers = {name: value for name, value in version.headers.items()
                   if not name.startswith("x-amz-checksum-") and (name, value) != ("x-amz-storage-class", "STANDARD")}
        if request.headers.get("x-amz-checksum-mode") == "ENABLED" and "range" not in request.headers:
            headers.update((name, value) for name, value in version.headers.items() if name.startswith("x-amz-checksum-"))
        if version.customer_key:
            headers.update({CUSTOMER + "algorithm": "AES256", CUSTOMER + "key-MD5": version.customer_key})
        if version.version != "null":
            headers["x-amz-version-id"] = version.version
        return {"ETag": quoted(version.etag), "Last-Modified": http_date(version.modified), "Accept-Ranges": "bytes", **headers}

    def find(self, request):
        bucket, wanted = self.bucket(request), request.arguments().get("versionId")
        version = bucket.version(request.key, wanted) if wanted else bucket.current(request.key)
        if not version or version.marker:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.", Key=request.key)
        if "if-match" in request.headers and request.headers["if-match"] != quoted(version.etag):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                          Condition="If-Match")
        if request.headers.get("if-none-match") == quoted(version.etag):
            raise Refused(304, "NotModified")
        return version

    def GetObject(self, request):
        version = self.find(request)
        headers, data = self.described(version, request), version.data
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if not match or match.groups() == ("", ""):
            return Answer(200, headers, data)
        first, last = match.groups()
        start, end = (int(first), int(last or len(data)) + 1) if first else (max(0, len(data) - int(last)), len(data))
        if start >= len(data) or end <= start:
            raise Refused(416, "InvalidRange", "The requested range is not satisfiable", ActualObjectSize=len(data))
        end = min(end, len(data))
        return Answer(206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end])

    def HeadObject(self, request):
        version = self.find(request)
        return Answer(200, self.described(version, request), b"", head_only=len(version.data))

    def check_conditions(self, request):
        """What a PUT or Complete says of the object that may be there."""
        bucket, headers = self.bucket(request), request.headers
        none, match = headers.get("if-none-match"), headers.get("if-match")
        if (none or match) and self.settings.conditions == "refuse":
            raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        if none not in (None, "*"):
            raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        if self.settings.conditions == "ignore":
            return
        there = bucket.current(request.key)
        if match and not there:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.", Key=request.key)
        if none and there or match and match not in (quoted(there.etag), there.etag):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                          Condition="If-None-Match" if none else "If-Match")

    def stored(self, version, request):
        headers = {"ETag": quoted(version.etag), **{name: value for name, value in version.headers.items()
                                                    if name.startswith(("x-amz-checksum-", "x-amz-server-side"))}}
        if version.customer_key:
            headers.update({CUSTOMER + "algorithm": "AES256", CUSTOMER + "key-MD5": version.customer_key})
        if version.version != "null":
            headers["x-amz-version-id"] = version.version
        return headers

    def PutObject(self, request):
        bucket = self.bucket(request)
        self.check_conditions(request)
        key = customer_key(request)
        etag = os.urandom(16).hex() if key else None  # no md5 of anything, as S3's
        return Answer(200, self.stored(bucket.put(request.key, request.body, kept_headers(request), etag, key), request))

    def DeleteObject(self, request):
        version, marker = self.bucket(request).delete(request.key, request.arguments().get("versionId"))
        headers = {"x-amz-version-id": version, "x-amz-delete-marker": "true" if marker else None}
        return Answer(204, {name: value for name, value in headers.items() if value})

    def DeleteObjects(self, request):
        bucket, lines = self.bucket(request), []
        wanted = tree.fromstring(request.body)
        items = [item for item in wanted if item.tag.endswith("Object")]
        if not 1 <= len(items) <= 1000:
            raise Refused(400, "MalformedXML", "The XML you provided was not well-formed or did not validate")
        quiet = any(item.tag.endswith("Quiet") and item.text == "true" for item in wanted)
        for item in items:
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in item}
            try:
                bucket.delete(fields["Key"], fields.get("VersionId") or None)
                if not quiet:
                    lines.append(f"<Deleted>{element('Key', fields['Key'])}</Deleted>")
            except Refused as refused:
                lines.append(f"<Error>{element('Key', fields['Key'])}{element('Code', refused.code)}"
                             f"{element('Message', refused.message)}</Error>")
        return Answer(200, {}, xml("DeleteResult", *lines))

    def source(self, request):
        """(the version that x-amz-copy-source names, checked)."""
        name, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
        bucket, _, key = urllib.parse.unquote(name).lstrip("/").partition("/")
        if bucket not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)
        found = self.buckets[bucket].version(key, version) if version else self.buckets[bucket].current(key)
        if not found or found.marker:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.", Key=key)
        if customer_key(request, "x-amz-copy-source-server-side-encryption-customer-") != found.customer_key:
            raise Refused(400, "InvalidRequest", "The correct parameters must be provided to copy the object.")
        if request.headers.get("x-amz-copy-source-if-match", quoted(found.etag)) not in (quoted(found.etag), found.etag):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        return found

    def CopyObject(self, request):
        source = self.source(request)
        if len(source.data) > self.settings.copy_limit:
            raise Refused(400, "InvalidRequest", "The specified copy source is larger than the maximum allowable size.")
        self.check_conditions(request)
        key = customer_key(request)
        headers = {name: value for name, value in source.headers.items() if name.startswith("x-amz-meta-")}
        headers.update(kept_headers(request))
        made = self.bucket(request).put(request.key, source.data, headers, os.urandom(16).hex() if key else None, key)
        return self.copied("CopyObjectResult", made)

    def copied(self, root, made):
        return Answer(200, {}, xml(root, element("LastModified", iso(made.modified)), element("ETag", quoted(made.etag))))

    # --- uploads in parts

    def CreateMultipartUpload(self, request):
        bucket, identity = self.bucket(request), os.urandom(12).hex() + "~.-_"
        bucket.uploads[identity] = Upload(request.key, identity, kept_headers(request), customer_key(request), sigv4.now())
        return Answer(200, {}, xml("InitiateMultipartUploadResult", element("Bucket", request.bucket), element("Key", request.key),
                                   element("UploadId", identity)))

    def add_part(self, request, data):
        arguments = request.arguments()
        upload = self.bucket(request).upload(request.key, arguments["uploadId"])
        if upload.done:
            raise Refused(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        if upload.customer_key != customer_key(request):
            raise Refused(400, "InvalidRequest", "The part must be encrypted with the key that the upload began with")
        if self.settings.drop_parts:  # what they hold was checked; as an encrypted object's, the ETag is no MD5
            part = Part(Dropped.of(data), os.urandom(16).hex(), sigv4.now())
        else:
            part = Part(bytes(data), hashlib.md5(data).hexdigest(), sigv4.now())
        upload.parts[int(arguments["partNumber"])] = part
        return part

    def UploadPart(self, request):
        part = self.add_part(request, request.body)
        return Answer(200, {"ETag": quoted(part.etag), **{name: value for name, value in request.headers.items()
                                                          if name.startswith("x-amz-checksum-")}})

    def UploadPartCopy(self, request):
        data = self.source(request).data
        given = request.headers.get("x-amz-copy-source-range")
        if given:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", given)
            if not match or not int(match[1]) <= int(match[2]) < len(data):
                raise Refused(400, "InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last")
            data = data[int(match[1]):int(match[2]) + 1]
        part = self.add_part(request, data)
        return self.copied("CopyPartResult", part)

    def CompleteMultipartUpload(self, request):
        bucket = self.bucket(request)
        upload = bucket.upload(request.key, request.arguments()["uploadId"])
        if not upload.done:
            self.check_conditions(request)
            parts = self.listed_parts(request, upload)
            digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
            data = joined([part.data for part in parts])
            upload.done = bucket.put(request.key, data, upload.headers, f"{digest}-{len(parts)}", upload.customer_key)
            upload.parts = {}
        made = upload.done  # asked again it answers the same, as S3 does
        return Answer(200, {}, xml("CompleteMultipartUploadResult", element("Location", "/"), element("Bucket", request.bucket),
                                   element("Key", request.key),
                                   element("ETag", quoted(made.etag) if self.settings.etag_at_completion else "")))

    def listed_parts(self, request, upload):
        try:
            listed = [{child.tag.rpartition("}")[2]: (child.text or "").strip() for child in item}
                      for item in tree.fromstring(request.body)]
            numbers = [int(item["PartNumber"]) for item in listed]
        except (tree.ParseError, KeyError, ValueError):
            raise Refused(400, "MalformedXML", "The XML you provided was not well-formed or did not validate") from None
        if not numbers or numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        parts = []
        for number, item in zip(numbers, listed):
            part = upload.parts.get(number)
            if not part or item.get("ETag", "").strip('"') != part.etag:
                raise Refused(400, "InvalidPart", "One or more of the specified parts could not be found.", PartNumber=number)
            parts.append(part)
        if any(len(part.data) < self.settings.min_part for part in parts[:-1]):
            raise Refused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
        return parts

    def AbortMultipartUpload(self, request):
        bucket, identity = self.bucket(request), request.arguments()["uploadId"]
        if bucket.upload(request.key, identity).done:
            raise Refused(404, "NoSuchUpload", "The specified multipart upload does not exist.", UploadId=identity)
        del bucket.uploads[identity]
        return Answer(204)

    def ListParts(self, request):
        upload = self.bucket(request).upload(request.key, request.arguments()["uploadId"])
        return Answer(200, {}, xml("ListPartsResult", element("UploadId", upload.id), element("IsTruncated", "false"), *(
            f"<Part>{element('PartNumber', number)}{element('ETag', quoted(part.etag))}{element('Size', len(part.data))}"
            f"{element('LastModified', iso(part.modified))}</Part>" for number, part in sorted(upload.parts.items()))))

    def ListMultipartUploads(self, request):
        prefix = request.arguments().get("prefix", "")
        found = [upload for upload in self.bucket(request).open_uploads() if upload.key.startswith(prefix)]
        return Answer(200, {}, xml("ListMultipartUploadsResult", element("IsTruncated", "false"), *(
            f"<Upload>{element('Key', upload.key)}{element('UploadId', upload.id)}"
            f"{element('Initiated', iso(upload.started))}</Upload>" for upload in found)))
