#!/usr/bin/env python3
"""catalogue.py [--on files|radosgw|scripted] [--backups N] [--segments N] [--runs N]   what listing, verifying, planning cost.

Makes a big archive (names, sizes and documents only) and runs wal-show, wal-verify integrity, the plan of a deletion and info
with SEAWALL_BIN (default build/release/seawall) and, if it is given, WALG_BIN, in turn. Prints a Markdown table: the median of
wall and CPU time of the client, and its largest memory. The archive is kept

files     in TMPDIR (the default)
radosgw   in a bucket of Ceph's server (tools/s3_servers), to which it is uploaded
scripted  nowhere: listing_server.py makes up each page of a listing

On the last two a bare listing, one page after the other with nothing done to it, is measured as well."""
import argparse
import contextlib
import http.client
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

from big_archive import Archive

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = {"seawall": os.environ.get("SEAWALL_BIN") or ROOT / "build/release/seawall", "WAL-G": os.environ.get("WALG_BIN")}
BUCKET, PREFIX = "bench", "archive"


@contextlib.contextmanager
def on_files(archive, scratch):
    archive.write(scratch / "archive")
    yield {"WALG_FILE_PREFIX": str(scratch / "archive")}


def s3_settings(endpoint, key, secret):
    return {"WALG_S3_PREFIX": f"s3://{BUCKET}/{PREFIX}", "AWS_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1", "AWS_S3_FORCE_PATH_STYLE": "true",
            "S3_LOG_LEVEL": "none"}


@contextlib.contextmanager
def on_scripted(archive, scratch):
    server = subprocess.Popen([sys.executable, ROOT / "bench/listing_server.py", str(archive.backups), str(archive.segments)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield s3_settings(server.stdout.readline().strip(), "key", "secret")
    finally:
        server.stdin.close()
        server.wait()


@contextlib.contextmanager
def on_radosgw(archive, scratch):
    home = scratch / "servers"
    subprocess.run([ROOT / "tools/s3_servers", "start", home, "radosgw"], check=True, stdout=subprocess.DEVNULL)
    try:
        env = dict(line.split("=", 1) for line in (home / "radosgw/env").read_text().split())
        endpoint = env["S3_ENDPOINT"]
        signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{env['S3_KEY']}:{env['S3_SECRET']}",
                  "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        subprocess.run(["curl", "-sS", "-f", "--noproxy", "*", "-X", "PUT", *signed, f"{endpoint}/{BUCKET}"], check=True)
        archive.upload(scratch, f"{endpoint}/{BUCKET}/{PREFIX}", *signed)
        yield s3_settings(endpoint, env["S3_KEY"], env["S3_SECRET"])
    finally:
        subprocess.run([ROOT / "tools/s3_servers", "stop", home, "radosgw"], check=True)


def bare_listing(env):
    """Seconds and objects of listing everything, page after page over one connection."""
    sys.path.append(str(ROOT / "tests/integration"))
    from doubles import sigv4
    host = urllib.parse.urlsplit(env["AWS_ENDPOINT"]).netloc
    connection = http.client.HTTPConnection(host)
    began, objects, token = time.monotonic(), 0, ""
    while True:
        query = "list-type=2&prefix=" + sigv4.encoded(PREFIX + "/")
        if token:
            query = f"continuation-token={sigv4.encoded(token)}&{query}"
        headers = {"host": host}
        sigv4.sign("GET", f"/{BUCKET}", query, headers, b"", env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"],
                   env["AWS_REGION"])
        connection.request("GET", f"/{BUCKET}?{query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"bare listing: status {answer.status}\n{body[:2000]!r}")
        objects += body.count(b"<Contents>")
        following = re.search(rb"<NextContinuationToken>([^<]*)<", body)
        if not following:
            return time.monotonic() - began, objects
        token = following[1].decode()


def run(program, words, env, scratch):
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch), **env}
    with open(scratch / "out", "wb") as out, open(scratch / "err", "wb") as err:
        began = time.monotonic()
        process = subprocess.Popen([program, *words], env=env, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"{program} {' '.join(words)}: status {status}\n{(scratch / 'err').read_text()[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(archive, env, scratch, runs):
    tools = {name: str(path) for name, path in TOOLS.items() if path}
    commands = {"wal-show": ["wal-show"], "wal-verify": ["wal-verify", "integrity", "--timeline", "1", "--lsn", archive.end()],
                "delete plan": ["delete", "retain", "FULL", str(max(archive.backups // 5, 1))], "info": ["info"]}
    print("| | wall s | CPU s | memory MB |\n|---|---:|---:|---:|")
    if "AWS_ENDPOINT" in env:
        walls = [bare_listing(env) for _ in range(runs)]
        print(f"| bare listing, {walls[0][1]} objects | {statistics.median(wall for wall, _ in walls):.3f} | | |", flush=True)
    for label, words in commands.items():
        results = {name: [] for name in tools if label != "info" or name == "seawall"}
        for _ in range(runs):
            for name, rows in results.items():
                rows.append(run(tools[name], words, env, scratch))
        for name, rows in results.items():
            wall, cpu, memory = (statistics.median(column) for column in zip(*rows))
            print(f"| {label}: {name} | {wall:.3f} | {cpu:.3f} | {memory:.0f} |", flush=True)


def main():
    places = {"files": on_files, "radosgw": on_radosgw, "scripted": on_scripted}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", choices=places, default="files")
    parser.add_argument("--backups", type=int, default=500)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    archive = Archive(options.backups, options.segments)
    with tempfile.TemporaryDirectory(prefix="catalogue") as scratch:
        scratch = pathlib.Path(scratch)
        with places[options.on](archive, scratch) as env:
            print(f"{options.on}: {options.backups} backups, {options.segments} segments; median of {options.runs} runs\n")
            measure(archive, env, scratch, options.runs)


main()
