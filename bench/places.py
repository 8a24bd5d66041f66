"""Where archives are kept while they are measured: in directories, or in buckets of S3 servers over TLS."""
import os
import subprocess
import xml.etree.ElementTree as xml

from measure import TICKS, Failed, tree_bytes

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUCKET = "bench"


class Files:
    name = "files"

    def __init__(self, runner):
        self.runner = runner

    def new(self, key):
        self.runner.directory(f"archive-{key}")

    def settings(self, key):
        """As WAL-G, and so seawall, takes them."""
        return {"WALG_FILE_PREFIX": self.runner.path(f"archive-{key}")}

    def pgbackrest_settings(self, key):
        return [f"repo1-path={self.runner.path(f'archive-{key}')}"]

    def stored(self, key):
        return tree_bytes(self.runner.path(f"archive-{key}"))

    def directories(self, key):
        """What has to be read to warm the cache."""
        return [self.runner.path(f"archive-{key}")]

    def server_cpu(self, key):
        return 0.0

    def stop(self):
        pass


class S3:
    """Each archive has a radosgw of its own, in memory, and gets a new one when it is to be empty: nobody waits for the
    server's clearing up."""
    name = "S3"

    def __init__(self, runner):
        self.runner = runner
        self.running = {}  # key to the server's variables
        self.gate = None  # a port of this machine that leads to the server, instead of its own

    def new(self, key):
        if key in self.running:
            self._servers("stop", key)
        self._servers("start", key)
        home = self._home(key)
        with open(f"{home}/env") as file:
            self.running[key] = dict(line.strip().split("=", 1) for line in file)
        self.runner.servers |= self._processes(key)
        self._request(key, "PUT", "")

    def settings(self, key):
        env = self.running[key]
        host, port = self.address(key)
        return {"WALG_S3_PREFIX": f"s3://{BUCKET}/archive", "AWS_ENDPOINT": f"https://{host}:{self.gate or port}",
                "AWS_ACCESS_KEY_ID": env["S3_KEY"], "AWS_SECRET_ACCESS_KEY": env["S3_SECRET"],
                "AWS_REGION": "us-east-1", "AWS_S3_FORCE_PATH_STYLE": "true", "WALG_S3_CA_CERT_FILE": env["S3_CA"]}

    def address(self, key):
        host, port = self.running[key]["S3_TLS_ENDPOINT"].removeprefix("https://").split(":")
        return host, int(port)

    def pgbackrest_settings(self, key):
        env = self.running[key]
        host, port = self.address(key)
        return ["repo1-type=s3", "repo1-path=/archive", f"repo1-s3-bucket={BUCKET}", f"repo1-s3-endpoint={host}",
                f"repo1-storage-port={port}", f"repo1-storage-ca-file={env['S3_CA']}", "repo1-s3-region=us-east-1",
                f"repo1-s3-key={env['S3_KEY']}", f"repo1-s3-key-secret={env['S3_SECRET']}", "repo1-s3-uri-style=path"]

    def stored(self, key):
        total, token = 0, ""
        while True:
            answer = xml.fromstring(self._request(key, "GET", f"?{token}list-type=2"))
            space = answer.tag.removesuffix("ListBucketResult")
            total += sum(int(size.text) for size in answer.iter(f"{space}Size"))
            following = answer.findtext(f"{space}NextContinuationToken")
            if not following:
                return total
            token = f"continuation-token={following}&"

    def directories(self, key):
        return []

    def server_cpu(self, key):
        """Seconds that the server has used so far."""
        ticks = 0
        for process in self._processes(key):
            with open(f"/proc/{process}/stat") as stat:
                ticks += sum(int(field) for field in stat.read().rsplit(")", 1)[1].split()[11:13])
        return ticks / TICKS

    def stop(self):
        for key in list(self.running):
            self._servers("stop", key)

    def _home(self, key):
        return self.runner.path(f"s3-{key}", "radosgw")

    def _processes(self, key):
        found = set()
        for name in ("mon", "osd", "rgw"):
            with open(f"{self._home(key)}/{name}.pid") as file:
                found.add(int(file.read()))
        return found

    def _servers(self, action, key):
        if action == "stop":
            del self.running[key]
        done = subprocess.run([f"{REPOSITORY}/tools/s3_servers", action, self.runner.path(f"s3-{key}"), "radosgw"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"tools/s3_servers {action}: {done.stderr}")

    def _request(self, key, method, rest):
        env = self.running[key]
        done = subprocess.run(["curl", "-sS", "-f", "--noproxy", "*", "-X", method, "--aws-sigv4",
                               "aws:amz:us-east-1:s3", "--user", f"{env['S3_KEY']}:{env['S3_SECRET']}", "-H",
                               "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--cacert", env["S3_CA"],
                               f"{env['S3_TLS_ENDPOINT']}/{BUCKET}{rest}"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{method} of the bucket: {done.stderr}")
        return done.stdout


PLACES = {"files": Files, "s3": S3}
