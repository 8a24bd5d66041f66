#!/usr/bin/env python3
"""catalogue.py [--backups N] [--segments N] [--runs N]   what listing, verifying and planning cost on a big archive of files.

Makes the archive in TMPDIR (names, sizes and documents only; beyond 200,000 segments are links), runs wal-show, wal-verify integrity
and the plan of a deletion with SEAWALL_BIN (default build/release/seawall) and, if it is given, WALG_BIN, in turn, and prints a
Markdown table: the median of wall and CPU time, and the largest memory of the process. Standard error goes to a file."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEGMENT = 16 << 20
TOOLS = {"seawall": os.environ.get("SEAWALL_BIN") or ROOT / "build/release/seawall", "WAL-G": os.environ.get("WALG_BIN")}


def segment_name(number):
    return f"{1:08X}{number // 256:08X}{number % 256:08X}"


def write_backup(top, number, seconds):
    name = f"base_{segment_name(number)}"
    start, finish = number * SEGMENT + 0x28, number * SEGMENT + 0x100
    moments = {key: time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime(seconds + more)) for key, more in
               (("start", -600), ("finish", 0))}
    sentinel = {"LSN": start, "PgVersion": 150004, "FinishLSN": finish, "SystemIdentifier": 7000000000000000001,
                "UncompressedSize": 10**9, "CompressedSize": 10**8, "DataCatalogSize": 10**9, "Spec": None, "UserData": None,
                "Version": 2, "StartTime": moments["start"], "FinishTime": moments["finish"],
                "DateFmt": "%Y-%m-%dT%H:%M:%S.%fZ", "Hostname": "bench", "DataDir": "/data", "IsPermanent": False}
    metadata = {"start_time": moments["start"], "finish_time": moments["finish"], "date_fmt": "%Y-%m-%dT%H:%M:%S.%fZ",
                "hostname": "bench", "data_dir": "/data", "pg_version": 150004, "start_lsn": start, "finish_lsn": finish,
                "is_permanent": False, "system_identifier": 7000000000000000001, "uncompressed_size": 10**9,
                "compressed_size": 10**8}
    parts = top / "basebackups_005" / name / "tar_partitions"
    parts.mkdir(parents=True)
    files = {parts / f"part_{i:03}.tar.lz4": "x" for i in range(1, 11)}
    files.update({parts / "pg_control.tar.lz4": "x", parts / "backup_label.tar.lz4": "x",
                  parts.parent / "metadata.json": json.dumps(metadata), parts.parent / "files_metadata.json": "{}",
                  top / f"basebackups_005/{name}_backup_stop_sentinel.json": json.dumps(sentinel)})
    for path, text in files.items():
        path.write_text(text)
        os.utime(path, (seconds, seconds))


def make_archive(top, backups, segments):
    wal = top / "wal_005"
    wal.mkdir()
    (top / "basebackups_005").mkdir()
    step = max(segments // backups, 1)
    began = int(time.time()) - segments - 10 * 86400
    first = None
    for number in range(1, segments + 1):
        path = wal / f"{segment_name(number)}.lz4"
        if segments > 200_000 and number % 50_000 != 1:  # links: a million files would take 4 GB of blocks
            os.link(first, path)
        else:
            first = path
            with open(path, "wb") as out:
                out.write(b"segment")
            os.utime(path, (began + number, began + number))
        if number % step == 1 and number // step < backups:
            write_backup(top, number, began + number)


def run(program, words, top, scratch):
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch), "WALG_FILE_PREFIX": str(top)}
    with open(scratch / "out", "wb") as out, open(scratch / "err", "wb") as err:
        began = time.monotonic()
        process = subprocess.Popen([program, *words], env=env, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"{program} {' '.join(words)}: status {status}\n{(scratch / 'err').read_text()[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backups", type=int, default=500)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    tools = {name: str(path) for name, path in TOOLS.items() if path}
    end = f"{(options.segments + 1) * SEGMENT >> 32:X}/{(options.segments + 1) * SEGMENT & 0xFFFFFFFF:X}"
    commands = {"wal-show": ["wal-show"], "wal-verify": ["wal-verify", "integrity", "--timeline", "1", "--lsn", end],
                "delete plan": ["delete", "retain", "FULL", str(max(options.backups // 5, 1))]}
    with tempfile.TemporaryDirectory(prefix="catalogue") as scratch:
        scratch = pathlib.Path(scratch)
        top = scratch / "archive"
        top.mkdir()
        make_archive(top, options.backups, options.segments)
        print(f"{options.backups} backups, {options.segments} segments; median of {options.runs} runs, files in the page cache\n")
        print("| | wall s | CPU s | memory MB |\n|---|---:|---:|---:|")
        for label, words in commands.items():
            results = {name: [] for name in tools}
            for _ in range(options.runs):
                for name, program in tools.items():
                    results[name].append(run(program, words, top, scratch))
            for name, rows in results.items():
                wall, cpu, memory = (statistics.median(column) for column in zip(*rows))
                print(f"| {label}: {name} | {wall:.3f} | {cpu:.3f} | {memory:.0f} |", flush=True)


main()
