"""Servers that play S3 and the services that hand out its credentials, stricter than those, and with faults on order."""
