"""Doubles of the services that hand out credentials: STS, EC2 metadata (with its own tokens) and the container endpoint.

What they give joins the keys of an S3 double and dies after `life` seconds, so a client that does not renew is found out."""
import datetime
import itertools
import json
import os
import urllib.parse
from xml.sax.saxutils import escape

from . import sigv4
from .http_server import Answer, Double

ROLE = "arn:aws:iam::123456789012:role/backup"


class TokenDouble(Double):
    """`keys`: those that may call AssumeRole, and where new ones go. Paths: / (STS), /latest/… (EC2), /container."""

    def __init__(self, keys, life=2.0, context=None, web_identity="web.identity.token", authorization="container-secret"):
        self.keys, self.life = keys, life
        self.web_identity, self.authorization = web_identity, authorization
        self.metadata_tokens = set()
        self.numbers = itertools.count(1)
        self.log, self.issued = [], []
        super().__init__(context)

    def issue(self):
        """(access key, its Key)"""
        name = f"ASIA{next(self.numbers):04d}{os.urandom(4).hex().upper()}"
        made = sigv4.Key(os.urandom(15).hex() + "/+", "token+/" + os.urandom(20).hex(),
                         sigv4.now() + datetime.timedelta(seconds=self.life))
        with self.lock:
            self.keys[name] = made
            self.issued.append(name)
        return name, made

    # --- what the HTTP server asks

    def begin(self, request):
        request.bucket, request.key = "", request.path
        with self.lock:
            self.log.append(f"{request.method} {request.path}")
            return self.plan.choose(len(self.log), "", request.path)

    def finished(self, request, rule, status):
        pass

    def refuse_early(self, request, rule):
        return None

    def respond(self, request, rule):
        if rule and rule.do == "error":
            return Answer(rule.status, {}, f"<ErrorResponse><Error><Code>{rule.code}</Code></Error></ErrorResponse>".encode())
        if rule and rule.do == "text":
            return Answer(rule.status, {}, rule.text.encode())
        try:
            if request.path == "/container":
                return self.container(request)
            if request.path.startswith("/latest/"):
                return self.metadata(request)
            return self.sts(request)
        except sigv4.Refused as refused:
            inner = f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
            body = f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>"
            return Answer(refused.status, {"Content-Type": "text/xml"}, body.encode())

    def json(self, **more):
        name, key = self.issue()
        body = {"AccessKeyId": name, "SecretAccessKey": key.secret, "Token": key.token,
                "Expiration": key.expires.strftime("%Y-%m-%dT%H:%M:%SZ"), **more}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def container(self, request):
        if request.headers.get("authorization") != self.authorization:
            return Answer(403, {}, b"not authorized")
        return self.json(RoleArn=ROLE)

    def metadata(self, request):
        if request.path == "/latest/api/token":
            if request.method != "PUT" or "x-aws-ec2-metadata-token-ttl-seconds" not in request.headers:
                return Answer(400)
            token = os.urandom(16).hex()
            self.metadata_tokens.add(token)
            return Answer(200, {}, token.encode())
        if request.headers.get("x-aws-ec2-metadata-token") not in self.metadata_tokens:
            return Answer(401, {}, b"Unauthorized")
        folder = "/latest/meta-data/iam/security-credentials/"
        if request.path == folder:
            return Answer(200, {"Content-Type": "text/plain"}, b"backup-role")
        if request.path == folder + "backup-role":
            return self.json(Code="Success", Type="AWS-HMAC")
        return Answer(404)

    def sts(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        action = form.get("Action")
        if request.method != "POST" or form.get("Version") != "2011-06-15":
            raise sigv4.Refused(400, "InvalidAction", "Could not find operation")
        if action == "AssumeRole":
            sigv4.check(request, dict(self.keys), "sts", body=request.body)
        elif action == "AssumeRoleWithWebIdentity":
            if form.get("WebIdentityToken") != self.web_identity:
                raise sigv4.Refused(400, "InvalidIdentityToken", "The token is not the one that was handed out")
        else:
            raise sigv4.Refused(400, "InvalidAction", f"Could not find operation {action}")
        if form.get("RoleArn") != ROLE or not form.get("RoleSessionName"):
            raise sigv4.Refused(403, "AccessDenied", "Not authorized to assume this role")
        name, key = self.issue()
        fields = {"AccessKeyId": name, "SecretAccessKey": key.secret, "SessionToken": key.token,
                  "Expiration": key.expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        inner = "".join(f"<{tag}>{escape(value)}</{tag}>" for tag, value in fields.items())
        return Answer(200, {"Content-Type": "text/xml"}, (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>{inner}'
            f"</Credentials></{action}Result></{action}Response>").encode())
