"""One broker with every door: plain, TLS, TLS with client certificates, SASL/SCRAM over TLS; with ACLs."""

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from pipeline.kafka.jar_cluster import JarCluster, Listener

USER, PASSWORD, CLIENT_NAME = "headrace", "river-42", "headrace-client"
TLS, MTLS, SASL = "TLS", "MTLS", "SASL"
ANSWER_S = 20.0


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a server's and a client's keys with certificates by it, and another authority."""

    authority: Path
    server: Path
    client_certificate: Path
    client_key: Path
    stranger: Path


def make_certificates(folder: Path) -> Certificates:
    """By openssl, in this folder."""
    authority, authority_key = _authority(folder, "authority")
    stranger, _ = _authority(folder, "stranger")
    parts = {}
    for name, subject in (("server", "localhost"), ("client", CLIENT_NAME)):
        key, request, certificate = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        extension = folder / f"{name}.ext"
        extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={subject}")
        signed_by = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-days", "2")
        _openssl("x509", "-req", "-in", request, *signed_by, "-extfile", extension, "-out", certificate)
        parts[name] = (certificate, key)
    server = folder / "server.pem"
    server.write_text("".join(path.read_text() for path in reversed(parts["server"])))
    return Certificates(authority, server, *parts["client"], stranger)


def _authority(folder: Path, name: str) -> tuple[Path, Path]:
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    made = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
    _openssl("req", "-x509", *made, "-keyout", key, "-out", certificate)
    return certificate, key


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


def secured_cluster(certificates: Certificates) -> JarCluster:
    """Not started. Who comes by the plain door, or with a client certificate, may do all; USER needs rights."""
    kept = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.authority),
    }
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    mechanism = {"sasl.enabled.mechanisms": "SCRAM-SHA-512", "scram-sha-512.sasl.jaas.config": module}
    return JarCluster(
        1,
        listeners=(
            Listener(TLS, "SSL", kept),
            Listener(MTLS, "SSL", {**kept, "ssl.client.auth": "required"}),
            Listener(SASL, "SASL_SSL", {**kept, **mechanism}),
        ),
        settings={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:CN={CLIENT_NAME}",
        },
        format_arguments=("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
    )


def client_settings(door: str, certificates: Certificates) -> dict[str, str]:
    """What a client needs to come by this door."""
    if door == TLS:
        return {"security.protocol": "ssl", "ssl.ca.location": str(certificates.authority)}
    if door == MTLS:
        own = {
            "ssl.certificate.location": str(certificates.client_certificate),
            "ssl.key.location": str(certificates.client_key),
        }
        return {**client_settings(TLS, certificates), **own}
    return {
        "security.protocol": "sasl_ssl",
        "ssl.ca.location": str(certificates.authority),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
    }


def _binding(kind: type[Any], resource: ResourceType, name: str, operation: AclOperation) -> Any:
    allow = AclPermissionType.ALLOW
    return kind(resource, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, allow)


def give(bootstrap: str, rights: Collection[tuple[ResourceType, str, AclOperation]]) -> None:
    """Let USER do these."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.create_acls([_binding(AclBinding, *right) for right in rights]).values():
        answer.result(ANSWER_S)


def take(bootstrap: str, rights: Collection[tuple[ResourceType, str, AclOperation]]) -> None:
    """No longer let USER do these."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.delete_acls([_binding(AclBindingFilter, *right) for right in rights]).values():
        assert answer.result(ANSWER_S), "there was no such right"
