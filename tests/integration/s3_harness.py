"""S3 for the integration tests: real servers (tools/s3_servers) and the double, archives on them, and a way to look inside."""
import dataclasses
import hashlib
import http.client
import itertools
import json
import re
import ssl
import subprocess
import urllib.parse
import xml.etree.ElementTree as tree

import seawall_harness as harness
from doubles import sigv4

numbers = itertools.count(1)
DOUBLE_KEY, DOUBLE_SECRET = "AKIDDOUBLE", "double/secret+key"


@dataclasses.dataclass
class Server:
    """A real server, and requests to it that are the tests' own."""
    name: str
    endpoint: str
    key: str
    secret: str
    region: str = "us-east-1"
    ca: str = ""
    plain: str = ""  # the endpoint without TLS
    other: tuple = ()  # key and secret of another user

    def request(self, method, path, query="", body=b"", **headers):
        """(status, headers, body); the path is not yet encoded."""
        url = urllib.parse.urlsplit(self.plain)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        path = sigv4.encoded(path, "/")
        sent = {"host": url.netloc, **headers}
        if method in ("PUT", "POST"):
            sent["content-length"] = str(len(body))
        sigv4.sign(method, path, query, sent, body, self.key, self.secret, self.region)
        try:
            connection.request(method, path + ("?" + query if query else ""), body, sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def make_bucket(self):
        name = f"test-{next(numbers)}-{sigv4.now():%H%M%S}"
        status, _, body = self.request("PUT", f"/{name}")
        assert status == 200, body
        return name

    def names(self, bucket, prefix=""):
        found, marker = [], ""
        while True:
            query = "&".join(f"{name}={sigv4.encoded(value)}" for name, value in (("marker", marker), ("prefix", prefix)) if value)
            status, _, body = self.request("GET", f"/{bucket}", query)
            assert status == 200, body
            page = tree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", body))
            keys = [each.findtext("Key") for each in page.iter("Contents")]
            found += keys
            if page.findtext("IsTruncated") != "true":
                return found
            marker = keys[-1]

    def read(self, bucket, key):
        status, _, body = self.request("GET", f"/{bucket}/{key}")
        assert status == 200, body
        return body

    def open_uploads(self, bucket):
        status, _, body = self.request("GET", f"/{bucket}", "uploads=")
        assert status == 200, body
        return re.findall(rb"<UploadId>([^<]*)", body)


class Look:
    """What a double holds, without a request."""

    def __init__(self, double):
        self.double, self.key, self.secret = double, DOUBLE_KEY, DOUBLE_SECRET
        self.endpoint, self.region, self.ca = double.endpoint, "us-east-1", ""

    def names(self, bucket, prefix=""):
        return [key for key in self.double.objects(bucket) if key.startswith(prefix)]

    def read(self, bucket, key):
        return self.double.objects(bucket)[key]

    def open_uploads(self, bucket):
        return self.double.bucket(bucket).open_uploads()


def start_server(name, directory):
    harness.mkdir(directory)
    command = [harness.ROOT / "tools/s3_servers", "start", directory, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split("=", 1) for line in (directory / name / "env").read_text().splitlines())
    return Server(name, said.get("S3_TLS_ENDPOINT") or said["S3_ENDPOINT"], said["S3_KEY"], said["S3_SECRET"],
                  said.get("S3_REGION", "us-east-1"), said.get("S3_CA", ""), said["S3_ENDPOINT"],
                  (said["S3_OTHER_KEY"], said["S3_OTHER_SECRET"]))


def stop_server(name, directory):
    subprocess.run([harness.ROOT / "tools/s3_servers", "stop", directory, name], check=True)


class S3Archive(harness.Archive):
    """An archive under s3://BUCKET/PREFIX of a Server or of a double's Look."""

    def __init__(self, scratch, server, bucket=None, prefix="some/archive", segment_mib=1, **settings):
        self.scratch, self.server, self.prefix = scratch, server, prefix
        self.bucket = bucket or server.make_bucket()
        self.settings = {
            "WALG_S3_PREFIX": f"s3://{self.bucket}/{prefix}", "AWS_ENDPOINT": server.endpoint, "AWS_REGION": server.region,
            "AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret, "AWS_S3_FORCE_PATH_STYLE": "true",
            "S3_CA_CERT_FILE": server.ca or None, "WALG_PG_WAL_SIZE": str(segment_mib), **settings}

    def keys(self, under=""):
        names = self.server.names(self.bucket, f"{self.prefix}/{under}")
        return sorted(name.removeprefix(self.prefix + "/") for name in names)

    def read(self, key):
        return self.server.read(self.bucket, f"{self.prefix}/{key}")

    def holds(self, key):
        return bool(self.server.names(self.bucket, f"{self.prefix}/{key}"))

    def contents(self):
        return {key: self.read(key) for key in self.keys()}

    def backups(self):
        end = "_backup_stop_sentinel.json"
        return [key.split("/")[1].removesuffix(end) for key in self.keys("basebackups_005/") if key.endswith(end)]

    def sentinel(self, name):
        return json.loads(self.read(f"basebackups_005/{name}_backup_stop_sentinel.json"))

    def open_uploads(self):
        return self.server.open_uploads(self.bucket)


def double_archive(scratch, double, **settings):
    """Waits after throttling are short, as a test has no minutes for them."""
    return S3Archive(scratch, Look(double), "bucket", **{"S3_MIN_THROTTLING_RETRY_DELAY": "50", **settings})


class WalFiles:
    """What wal-push looks at of a cluster: its segments and pg_control."""

    def __init__(self, home, finished):
        self.home, self.data, self.finished = home, home / "data", finished

    def segment_file(self, name):
        return self.data / "pg_wal" / name


def wal_files_of(scratch):
    """Makes the segments, and returns what copies them into a test's directory."""
    cluster = scratch.cluster(None)
    cluster.configure(archive_mode="on", archive_command="", wal_keep_size="100MB")
    cluster.start()
    cluster.sql("create table t as select g, md5(g::text) from generate_series(1, 3000) g")
    finished = [cluster.switch_wal() for _ in range(12)]
    cluster.stop()

    def copy(test_scratch, archive):
        home = harness.mkdir(test_scratch.path / f"wal-files-{next(numbers)}")
        for part in ("PG_VERSION", "global/pg_control", "pg_wal"):
            harness.mkdir((home / "data" / part).parent)
            subprocess.run(["cp", "-a", cluster.data / part, home / "data" / part], check=True)
        harness.give(home, recursive=True)
        archive.settings["WALG_PG_WAL_SIZE"] = "1"
        return WalFiles(home, finished)
    return copy


def relations(data):
    """Path → sum of the files of users' tables: once frozen they stay as they are. Even idle, the catalogs do not."""
    files = [path for path in (data / "base").glob("*/*") if re.fullmatch(r"\d+(_vm)?", path.name)
             and int(path.name.split("_")[0]) >= 16384]
    assert files, f"{data} has no table of a user's"
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def certificate(directory, name, hosts="DNS:localhost,DNS:*.localhost,IP:127.0.0.1"):
    """(certificate, key) that sign themselves."""
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}", "-keyout", paths[1], "-out", paths[0]],
                   check=True, capture_output=True)
    paths[0].chmod(0o644)
    return paths


def one_line_error(result, *words):
    """The failed command said what went wrong once, with these words, and no secret."""
    errors = [line for line in result.err.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1, result
    for word in words:
        assert re.search(word, errors[0], re.IGNORECASE), f"the message does not say {word!r}:\n{result}"
    return errors[0]


def ssl_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context
