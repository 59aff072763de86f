"""librdkafka's TLS settings for those who connect without librdkafka."""

import ssl
from collections.abc import Mapping


def tls_context(settings: Mapping[str, str]) -> ssl.SSLContext:
    """A client's context by `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.*` and
    `ssl.endpoint.identification.algorithm`. Raises OSError for a file that cannot be used.
    """
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    if certificate := settings.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, settings.get("ssl.key.location"), settings.get("ssl.key.password"))
    if settings.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    return context
