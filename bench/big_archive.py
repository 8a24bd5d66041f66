"""A big archive for measurements of the catalogue: names, sizes and documents only, as files, in a bucket, or made up by a
server while it is asked (listing_server.py)."""
import json
import os
import pathlib
import subprocess
import time

SEGMENT = 16 << 20


def segment_name(number):
    return f"{1:08X}{number // 256:08X}{number % 256:08X}"


def backup_objects(number, seconds):
    """Key to text of a backup that starts in this segment, the sentinel last."""
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
    folder = f"basebackups_005/{name}"
    parts = [f"part_{i:03}.tar.lz4" for i in range(1, 11)] + ["pg_control.tar.lz4", "backup_label.tar.lz4"]
    return {f"{folder}/tar_partitions/{part}": "x" for part in parts} | {
        f"{folder}/metadata.json": json.dumps(metadata), f"{folder}/files_metadata.json": "{}",
        f"{folder}_backup_stop_sentinel.json": json.dumps(sentinel)}


class Archive:
    """`backups` evenly among `segments`, one segment a second; the newest is ten days old."""

    def __init__(self, backups, segments):
        self.backups, self.segments = backups, segments
        self.began = int(time.time()) - segments - 10 * 86400
        self.step = max(segments // backups, 1)

    def segment_key(self, number):
        return f"wal_005/{segment_name(number)}.lz4"

    def backup_numbers(self):
        return [number for number in range(1, self.segments + 1, self.step)][:self.backups]

    def end(self):
        """LSN of a server that goes on."""
        end = (self.segments + 1) * SEGMENT
        return f"{end >> 32:X}/{end & 0xFFFFFFFF:X}"

    def write(self, top):
        """As files; beyond 200,000 segments are links, since a million files would take 4 GB of blocks."""
        (top / "wal_005").mkdir(parents=True)
        first = None
        for number in range(1, self.segments + 1):
            path = top / self.segment_key(number)
            if self.segments > 200_000 and number % 50_000 != 1:
                os.link(first, path)
            else:
                first = path
                path.write_bytes(b"segment")
                os.utime(path, (self.began + number, self.began + number))
        for number in self.backup_numbers():
            for key, text in backup_objects(number, self.began + number).items():
                path = top / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                os.utime(path, (self.began + number, self.began + number))

    def upload(self, scratch, url, *options):
        """By curl, eight at a time."""
        top = scratch / "upload"
        self.write(top)
        config = scratch / "curl"
        with open(config, "w") as out:
            for path in sorted(path for path in top.rglob("*") if path.is_file()):
                out.write(f'url = "{url}/{path.relative_to(top)}"\nupload-file = "{path}"\noutput = "/dev/null"\n')
        subprocess.run(["curl", "-sS", "-f", "--noproxy", "*", "--parallel", "--parallel-max", "8", *options, "-K", config],
                       check=True)
