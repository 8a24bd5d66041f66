"""The listings of the S3 double, in pages as small as the test wants."""
import base64
import urllib.parse

from .http_server import Answer
from .s3_requests import Operations, element, iso, quoted, xml
from .s3_store import folded
from .sigv4 import Refused

OWNER = "<Owner><ID>double</ID><DisplayName>double</DisplayName></Owner>"


class Page:
    """What a listing was asked for, and the names on this page of it."""

    def __init__(self, request, keys, after, page):
        arguments = request.arguments()
        self.prefix, self.delimiter = arguments.get("prefix", ""), arguments.get("delimiter", "")
        self.encoding = arguments.get("encoding-type", "")
        if self.encoding not in ("", "url"):
            raise Refused(400, "InvalidArgument", "Invalid Encoding Method specified in Request")
        try:
            self.asked = int(arguments.get("max-keys", "1000"))
        except ValueError:
            raise Refused(400, "InvalidArgument", "Provided max-keys not an integer or within integer range") from None
        self.size = min(self.asked, page)
        names = folded(keys, self.prefix, self.delimiter, after) if self.size else iter(())
        self.names = [name for _, name in zip(range(self.size), names)]
        self.truncated = next(names, None) is not None
        self.last = self.names[-1][0] if self.names else ""

    def text(self, name, value):
        """XML 1.0 has no way to write most control characters, so clients ask for percent signs."""
        return element(name, urllib.parse.quote(value, safe="/-._~") if self.encoding == "url" else value)

    def head(self, request):
        return "".join([
            element("Name", request.bucket), self.text("Prefix", self.prefix), element("MaxKeys", self.asked),
            self.text("Delimiter", self.delimiter) if self.delimiter else "",
            element("EncodingType", self.encoding) if self.encoding else "", element("IsTruncated", str(self.truncated).lower())])

    def prefixes(self):
        return "".join(f"<CommonPrefixes>{self.text('Prefix', name)}</CommonPrefixes>" for name, key in self.names if key is None)

    def contents(self, bucket, owner):
        lines = []
        for _, key in self.names:
            if key is not None:
                version = bucket.versions[key][0]
                lines.append(f"<Contents>{self.text('Key', key)}{element('LastModified', iso(version.modified))}"
                             f"{element('ETag', quoted(version.etag))}{element('Size', len(version.data))}{OWNER if owner else ''}"
                             f"{element('StorageClass', version.headers.get('x-amz-storage-class', 'STANDARD'))}</Contents>")
        return "".join(lines)


class Listings(Operations):
    def current_keys(self, bucket):
        return [key for key, found in bucket.versions.items() if not found[0].marker]

    def ListObjects(self, request):
        bucket, arguments = self.bucket(request), request.arguments()
        marker = arguments.get("marker", "")
        page = Page(request, self.current_keys(bucket), marker, self.settings.page)
        following = page.text("NextMarker", page.last) if page.truncated and page.delimiter else ""
        return Answer(200, {}, xml("ListBucketResult", page.head(request), page.text("Marker", marker), following,
                                   page.contents(bucket, True), page.prefixes()))

    def ListObjectsV2(self, request):
        bucket, arguments = self.bucket(request), request.arguments()
        if arguments["list-type"] != "2":
            raise Refused(400, "InvalidArgument", "Invalid list type")
        token, after = arguments.get("continuation-token"), arguments.get("start-after", "")
        if token is not None:
            try:
                after = base64.urlsafe_b64decode(token).decode()
            except ValueError:
                raise Refused(400, "InvalidArgument", "The continuation token provided is incorrect") from None
        page = Page(request, self.current_keys(bucket), after, self.settings.page)
        following = base64.urlsafe_b64encode(page.last.encode()).decode()
        return Answer(200, {}, xml(
            "ListBucketResult", page.head(request), element("KeyCount", len(page.names)),
            element("ContinuationToken", token) if token is not None else "",
            page.text("StartAfter", arguments["start-after"]) if "start-after" in arguments else "",
            element("NextContinuationToken", following) if page.truncated else "",
            page.contents(bucket, arguments.get("fetch-owner") == "true"), page.prefixes()))

    def ListObjectVersions(self, request):
        bucket, arguments = self.bucket(request), request.arguments()
        marker, version_marker = arguments.get("key-marker", ""), arguments.get("version-id-marker", "")
        if version_marker and not marker:
            raise Refused(400, "InvalidArgument", "A version-id marker cannot be specified without a key marker.")
        page = Page(request, bucket.versions, "", 1 << 30)
        entries, passed = [], not version_marker
        for name, key in page.names:
            if name.encode() < marker.encode() or name == marker and (not version_marker or key is None):
                continue
            for version in bucket.versions[key] if key is not None else [None]:
                if name == marker and not passed:
                    passed = version.version == version_marker
                    continue
                entries.append((name, key, version))
        shown = entries[:min(page.asked, self.settings.page)]
        page.truncated, page.names = len(entries) > len(shown), [(name, key) for name, key, _ in shown if key is None]
        following = ""
        if page.truncated:
            name, key, version = shown[-1]
            following = page.text("NextKeyMarker", name) + (element("NextVersionIdMarker", version.version) if version else "")
        lines = [self.version_line(page, key, version, version is bucket.versions[key][0]) for _, key, version in shown if version]
        return Answer(200, {}, xml("ListVersionsResult", page.head(request), page.text("KeyMarker", marker),
                                   element("VersionIdMarker", version_marker), following, *lines, page.prefixes()))

    def version_line(self, page, key, version, latest):
        fields = page.text("Key", key) + element("VersionId", version.version) + element("IsLatest", str(latest).lower())
        fields += element("LastModified", iso(version.modified)) + OWNER
        if version.marker:
            return f"<DeleteMarker>{fields}</DeleteMarker>"
        fields += element("ETag", quoted(version.etag)) + element("Size", len(version.data)) + element("StorageClass", "STANDARD")
        return f"<Version>{fields}</Version>"
