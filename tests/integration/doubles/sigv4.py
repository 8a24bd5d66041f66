"""AWS Signature Version 4 in header form: checked as AWS checks it, and made for the tests' own requests."""
import dataclasses
import datetime
import hashlib
import hmac
import re
import urllib.parse

MAX_SKEW = datetime.timedelta(minutes=15)
UNSIGNED = "UNSIGNED-PAYLOAD"
TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class Refused(Exception):
    """An error answer: HTTP status, S3's code, message, further XML elements and headers."""

    def __init__(self, status, code, message="", headers=None, **elements):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.headers, self.elements = status, code, message, headers or {}, elements


@dataclasses.dataclass
class Key:
    secret: str
    token: str = ""
    expires: datetime.datetime | None = None
    renounced: bool = False  # called expired on request


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def encoded(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


def canonical_query(raw):
    pairs = [pair.partition("=")[::2] for pair in raw.split("&") if pair]
    return "&".join(f"{name}={value}" for name, value in sorted(
        (encoded(urllib.parse.unquote(name)), encoded(urllib.parse.unquote(value))) for name, value in pairs))


def signature(secret, method, path, query, headers, names, payload, stamp, scope, encode_twice=False):
    """`path` as sent; S3 encodes it once, every other service encodes what was sent again."""
    path = encoded(path, "/") if encode_twice else encoded(urllib.parse.unquote(path), "/")
    lines = [method, path, canonical_query(query)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in names]
    lines += ["", ";".join(names), payload]
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def read_authorization(text):
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8}/[^/ ]+/[^/ ]+/aws4_request), ?"
                         r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", text)
    if not match:
        raise Refused(400, "AuthorizationHeaderMalformed", "The authorization header is malformed")
    return match.groups()


def check_time(stamp, scope):
    try:
        asked = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        raise Refused(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from None
    if abs(asked - now()) > MAX_SKEW:
        raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.",
                      RequestTime=stamp, ServerTime=now().strftime("%Y-%m-%dT%H:%M:%SZ"), MaxAllowedSkewMilliseconds="900000")
    if not scope.startswith(stamp[:8] + "/"):
        raise Refused(400, "AuthorizationHeaderMalformed", "The date of the credential is not that of the request")


def check_key(access_key, keys, headers):
    key = keys.get(access_key)
    if not key:
        raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.",
                      AWSAccessKeyId=access_key)
    if headers.get("x-amz-security-token", "") != key.token:
        raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    if key.renounced or key.expires and now() > key.expires:
        raise Refused(400, "ExpiredToken", "The provided token has expired.")
    return key


def check(request, keys, service, region=None, body=None):
    """Refused unless `request` (method, path, query, headers) is signed by one of `keys`; the access key otherwise. Headers
    that AWS wants signed must be. `body` is hashed for services whose requests carry no hash of it."""
    headers = request.headers
    if "authorization" not in headers:
        raise Refused(403, "AccessDenied", "Access Denied")
    access_key, scope, names, given = read_authorization(headers["authorization"])
    names = names.split(";")
    check_time(headers.get("x-amz-date", ""), scope)
    key = check_key(access_key, keys, headers)
    unsigned = [name for name in headers if (name.startswith("x-amz-") or name == "host") and name not in names]
    if unsigned or names != sorted(names) or any(name not in headers for name in names):
        raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed",
                      HeadersNotSigned=", ".join(unsigned))
    _, asked_region, asked_service, _ = scope.split("/")
    if asked_service != service:
        raise Refused(400, "AuthorizationHeaderMalformed", f"The service '{asked_service}' is wrong; expecting '{service}'")
    payload = headers.get("x-amz-content-sha256", "") if body is None else hashlib.sha256(body).hexdigest()
    wanted = signature(key.secret, request.method, request.path, request.query, headers, names, payload, headers["x-amz-date"],
                       scope, encode_twice=service != "s3")
    if not hmac.compare_digest(wanted, given):
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you "
                      "provided. Check your key and signing method.", AWSAccessKeyId=access_key)
    if region and asked_region != region:
        raise Refused(400, "AuthorizationHeaderMalformed", f"The authorization header is malformed; the region '{asked_region}' "
                      f"is wrong; expecting '{region}'", {"x-amz-bucket-region": region}, Region=region)
    return access_key


def sign(method, url_path, query, headers, body, access_key, secret, region, token=""):
    """Adds what S3 wants to `headers`, which must have host already; names in lower case."""
    stamp = now().strftime("%Y%m%dT%H%M%SZ")
    headers["x-amz-date"] = stamp
    headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    if token:
        headers["x-amz-security-token"] = token
    names = sorted(headers)
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    made = signature(secret, method, url_path, query, headers, names, headers["x-amz-content-sha256"], stamp, scope)
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={';'.join(names)}, "
                                f"Signature={made}")
