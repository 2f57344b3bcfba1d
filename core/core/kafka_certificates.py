"""What is wrong with a broker's certificate, or with ours: the clients say it in three ways, or not at all.

A handshake of our own with the same files tells it, whichever client failed.
"""

import contextlib
import socket
import ssl

from core.errors import TieoutError
from core.kafka_login import KafkaPlace

MEND = "mend the certificate, or the file in .env, then ./scripts/tieout doctor"
SECONDS = 5.0
# OpenSSL's numbers of X509_V_ERR_*.
_EXPIRED = {9: "is not valid yet", 10: "has expired"}
_UNKNOWN = {2, 18, 19, 20, 21}
_OTHER_HOST = {62, 64}


def certificate_trouble(place: KafkaPlace, user: str) -> str | None:
    """Return what keeps a user from a connection with TLS, as a sentence without its end; None where nothing does.

    Brokers that do not answer at all are passed over: the clients say that themselves.

    Raises:
        TieoutError: a file that the settings name cannot be read.
    """
    if not place.has_tls:
        return None
    files = place.files(user)
    context = ssl.create_default_context(cafile=files.get("KAFKA_CA_FILE"))
    if "KAFKA_KEY_FILE" in files:
        try:
            context.load_cert_chain(
                files["KAFKA_CERTIFICATE_FILE"], files["KAFKA_KEY_FILE"], lambda: place.key_password or "-"
            )
        except (ssl.SSLError, OSError) as error:
            return f"certificate and key of user {user} do not fit or cannot be read ({_reason(error)})"
    for address in place.bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if trouble := _of_one(context, host.strip("[]"), int(port), user, waits="KAFKA_KEY_FILE" in files):
            return trouble
    return None


def certificate_error(place: KafkaPlace, user: str, left: str) -> TieoutError | None:
    """Return the error of `certificate_trouble`; None where nothing is wrong with a certificate."""
    trouble = certificate_trouble(place, user)
    return TieoutError(f"user {user} cannot speak to Kafka: {trouble}.", left, MEND) if trouble else None


def _of_one(context: ssl.SSLContext, host: str, port: int, user: str, *, waits: bool) -> str | None:
    at = f"{host}:{port}"
    try:
        plain = socket.create_connection((host, port), timeout=SECONDS)
    except OSError:
        return None
    try:
        with plain, context.wrap_socket(plain, server_hostname=host) as connection:
            if waits:  # a broker says what it thinks of our certificate after the handshake, with the first bytes
                connection.settimeout(1.0)
                with contextlib.suppress(TimeoutError):
                    connection.recv(1)
    except ssl.SSLError as error:
        return _of_handshake(error, at, user, waits=waits)
    except OSError:
        return None
    return None


def _of_handshake(error: ssl.SSLError, at: str, user: str, *, waits: bool) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_broker(error, at)
    reason = (error.reason or "").upper()
    if waits and "ALERT" in reason:
        return f"the broker at {at} refuses the certificate of user {user} ({_reason(error)})"
    if "VERSION" in reason or "PROTOCOL" in reason:
        return f"the broker at {at} does not speak TLS as this client does ({_reason(error)})"
    return None  # cut off: a broker that starts or ends does that, and is asked again


def _of_broker(error: ssl.SSLCertVerificationError, at: str) -> str:
    code = error.verify_code
    if code in _EXPIRED:
        return f"the certificate of the broker at {at} {_EXPIRED[code]}: its operator has to renew it"
    if code in _UNKNOWN:
        return f"the certificate of the broker at {at} is signed by nobody whom KAFKA_CA_FILE names"
    if code in _OTHER_HOST:
        return f"the certificate of the broker at {at} is for another host name than KAFKA_BOOTSTRAP has"
    return f"the certificate of the broker at {at} is not accepted ({error.verify_message})"


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).lower().replace("_", " ")
