"""The holder's private keys: import by DGI C2rr and raw ECDSA signatures."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding

from simulators.chip import tlv
from simulators.chip.apdu import Status, StatusError
from simulators.chip.contents import Contents, key_cell

AUTHENTICATION, SIGNATURE = 0x81, 0x9F
REFERENCES = frozenset((AUTHENTICATION, SIGNATURE))

# Algorithm identifiers of the data sheet §3, each with the digest its curve signs here
_CURVES: dict[int, ec.EllipticCurve] = {0x0C: ec.SECP256R1(), 0x0D: ec.SECP384R1()}
_DIGESTS: dict[int, hashes.HashAlgorithm] = {0x0C: hashes.SHA256(), 0x0D: hashes.SHA384()}


def key_from_dgi(value: bytes, dek: bytes) -> bytes:
    """The cell of the key a DGI C2rr holds: algorithm, then the scalar. Raises `StatusError` 6A80."""
    try:
        fields = tlv.unique(value)
        if set(fields) != {0x81, 0x82} or len(fields[0x81]) != 1:
            raise StatusError(Status.WRONG_DATA)
        information = aes_key_unwrap_with_padding(dek, fields[0x82])  # RFC 5649
        key = serialization.load_der_private_key(_without_filler(information), password=None)
    except (tlv.TlvError, InvalidUnwrap, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StatusError(Status.WRONG_DATA) from error
    algorithm = fields[0x81][0]
    curve = _CURVES.get(algorithm)
    if curve is None or not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != curve.name:
        raise StatusError(Status.WRONG_DATA)
    return bytes((algorithm,)) + key.private_numbers().private_value.to_bytes(curve.key_size // 8)


def _without_filler(information: bytes) -> bytes:
    """The PrivateKeyInfo alone: a token may have filled it with up to 7 zero octets. Raises `ValueError`."""
    if len(information) < 3 or information[0] != 0x30 or information[1] > 0x81:
        raise ValueError("no PrivateKeyInfo of an EC key")
    end = 3 + information[2] if information[1] == 0x81 else 2 + information[1]
    if len(information) - end > 7 or any(information[end:]):
        raise ValueError("more than filler follows the PrivateKeyInfo")
    return information[:end]


def sign(contents: Contents, reference: int, digest: bytes) -> bytes:
    """r | s, each as long as the field, over a digest of that length.

    Raises `StatusError` 6A88 no such key, 6700 wrong length of the digest.
    """
    cell = contents.cell(key_cell(reference))
    if cell is None:
        raise StatusError(Status.REFERENCE_NOT_FOUND)
    curve, algorithm = _CURVES[cell[0]], _DIGESTS[cell[0]]
    if len(digest) != algorithm.digest_size:
        raise StatusError(Status.WRONG_LENGTH)
    key = ec.derive_private_key(int.from_bytes(cell[1:]), curve)
    r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(algorithm))))
    length = curve.key_size // 8
    return r.to_bytes(length) + s.to_bytes(length)
