"""s3_double.py [--port N] [--tls CERTIFICATE KEY] [--bucket NAME]... [--region R] [--faults FILE] : the S3 double as a program.

Keys: AKIDDOUBLE, double/secret+key. Tests start it in their own process (doubles/s3.py); this is for trying things out and
for measurements, where it must not share its interpreter with anything. It prints its endpoint and serves until it is ended."""
import argparse
import json
import pathlib
import threading

from doubles import http_server
from doubles.s3 import S3Double


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--bucket", action="append")
    parser.add_argument("--region", default="")
    parser.add_argument("--faults", type=pathlib.Path)
    options = parser.parse_args()
    double = S3Double(http_server.server_context(*options.tls) if options.tls else None, options.port,
                      options.bucket or ["bucket"], region=options.region)
    if options.faults:
        double.fail(*json.loads(options.faults.read_text()))
    print(double.endpoint, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
