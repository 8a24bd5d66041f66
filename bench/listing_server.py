#!/usr/bin/env python3
"""listing_server.py BACKUPS SEGMENTS : a server that answers like S3 with a big archive in bucket "bench", under "archive/".

It makes up each page of a listing when it is asked, so that a million objects cost nothing to make or to keep; objects can be
read, nothing can be written, signatures are not looked at. Plain HTTP. Prints its address; ends with its standard input."""
import bisect
import http.server
import re
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

from big_archive import SEGMENT, Archive, backup_objects, segment_name

ROOT = "archive/"


class Keys:
    """All keys in order. Those of segments, which come last, are computed."""

    def __init__(self, archive):
        self.archive = archive
        self.documents = {}
        for number in archive.backup_numbers():
            for key, text in backup_objects(number, archive.began + number).items():
                self.documents[ROOT + key] = (text.encode(), archive.began + number)
        self.first = sorted(self.documents)

    def __len__(self):
        return len(self.first) + self.archive.segments

    def __getitem__(self, i):
        if i < len(self.first):
            return self.first[i]
        return ROOT + self.archive.segment_key(i - len(self.first) + 1)

    def read(self, key):
        """Bytes and moment; nothing: there is no such object."""
        found = self.documents.get(key)
        if found is None:
            i = bisect.bisect_left(self, key)
            if i < len(self) and self[i] == key:
                found = b"segment", self.archive.began + i
        return found

    def page(self, prefix, delimiter, after, most):
        """Entries of a page, each (key, is a folder), and whether there is more."""
        entries = []
        i = bisect.bisect_left(self, prefix) if after < prefix else bisect.bisect_right(self, after)
        while i < len(self):
            key = self[i]
            if not key.startswith(prefix):
                break
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            folder = key[:end + 1] if end >= 0 else None
            if folder is not None and after.startswith(folder):
                i = bisect.bisect_left(self, folder + "\x7f")
                continue
            if len(entries) == most:
                return entries, True
            entries.append((folder or key, folder is not None))
            i = bisect.bisect_left(self, folder + "\x7f") if folder else i + 1
        return entries, False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet
    keys = None

    def answer(self, status, body, moment=None, kind="application/xml"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if moment is not None:
            self.send_header("Last-Modified", self.date_time_string(moment))
            self.send_header("ETag", f'"{moment:x}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        _, bucket, *key = urllib.parse.unquote(url.path).split("/", 2)
        if bucket != "bench":
            self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif key and key[0]:
            found = self.keys.read(key[0])
            if found is None:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                self.answer(200, *found, kind="application/octet-stream")
        else:
            self.list({name: values[-1] for name, values in urllib.parse.parse_qs(url.query).items()})

    do_HEAD = do_GET

    def list(self, query):
        after = query.get("continuation-token") or query.get("start-after") or query.get("marker") or ""
        entries, more = self.keys.page(query.get("prefix", ""), query.get("delimiter", ""), after,
                                       min(int(query.get("max-keys", 1000)), 1000))
        spell = urllib.parse.quote if query.get("encoding-type") == "url" else escape
        text = ['<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<Name>bench</Name><Prefix>{spell(query.get('prefix', ''))}</Prefix><KeyCount>{len(entries)}</KeyCount>"
                f"<MaxKeys>1000</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"]
        if "encoding-type" in query:
            text.append("<EncodingType>url</EncodingType>")
        if more:
            last = spell(entries[-1][0])
            text.append(f"<NextContinuationToken>{last}</NextContinuationToken><NextMarker>{last}</NextMarker>")
        for name, is_folder in entries:
            if is_folder:
                text.append(f"<CommonPrefixes><Prefix>{spell(name)}</Prefix></CommonPrefixes>")
            else:
                size, moment = self.about(name)
                text.append(f"<Contents><Key>{spell(name)}</Key><LastModified>{moment}</LastModified><ETag>&quot;0&quot;</ETag>"
                            f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>")
        self.answer(200, "".join([*text, "</ListBucketResult>"]).encode())

    def about(self, key):
        document = self.keys.documents.get(key)
        if document is None:
            name = key[len(ROOT + "wal_005/"):]
            size, seconds = 7, self.keys.archive.began + int(name[8:16], 16) * (2**32 // SEGMENT) + int(name[16:24], 16)
        else:
            size, seconds = len(document[0]), document[1]
        return size, time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))

    def log_message(self, *_):
        pass


def main():
    Handler.keys = Keys(Archive(int(sys.argv[1]), int(sys.argv[2])))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


main()
