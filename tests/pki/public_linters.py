"""pkilint in process: codes of what it finds at WARNING and above. Importing it takes a second."""

from functools import cache
from typing import Any

from pkilint import etsi, finding_filter, loader, validation
from pkilint.bin import lint_pkix_signer_signee_cert_chain as chain
from pkilint.etsi.etsi_constants import CertificateType
from pkilint.pkix import certificate, extension, name

_LOADER = loader.RFC5280CertificateDocumentLoader()


def _codes(results: Any) -> list[str]:
    return [
        finding.finding.code
        for result in results
        for finding in result.finding_descriptions
        if finding.finding.severity <= validation.ValidationFindingSeverity.WARNING
    ]


@cache
def _etsi(type_name: str) -> tuple[Any, Any]:
    kind = CertificateType.from_option_str(type_name)
    container = certificate.create_pkix_certificate_validator_container(
        etsi.create_decoding_validators(kind), etsi.create_validators(kind)
    )
    return container, etsi.create_etsi_finding_filters(kind)


def etsi_findings(type_name: str, der: bytes) -> list[str]:
    """As `lint_etsi_cert lint -t TYPE -s WARNING`."""
    container, filters = _etsi(type_name)
    results, _ = finding_filter.filter_results(filters, container.validate(_LOADER.load_der_document(der).root))
    return _codes(results)


def pkix_findings(der: bytes) -> list[str]:
    """As `lint_pkix_cert lint -s WARNING`."""
    container = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return _codes(container.validate(_LOADER.load_der_document(der).root))


def chain_findings(issuer: bytes, issued: bytes) -> list[str]:
    """As `lint_pkix_signer_signee_cert_chain lint -s WARNING`."""
    documents: dict[str, Any] = {}
    for role, der in (("issuer", issuer), ("subject", issued)):
        documents[role] = _LOADER.load_der_document(der, role, role, documents)
    decoding = chain.create_decoder_validation_container()
    results = decoding.validate(documents["issuer"].root) + decoding.validate(documents["subject"].root)
    results += chain.create_issuer_validation_container().validate(documents["issuer"].root)
    results += chain.create_subject_validation_container().validate(documents["subject"].root)
    return _codes(results)
