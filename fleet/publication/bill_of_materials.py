"""The bill of materials of a release, CycloneDX: every wheel and model with version, hash and licence."""

from collections.abc import Iterable
from datetime import datetime

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from contract.card import Card
from contract.release import BundleFiles
from fleet.publication.wheels import Wheel


def bill_of_materials(
    release: str, version: str, wheels: Iterable[Wheel], bundles: Iterable[tuple[BundleFiles, Card]], now: datetime
) -> bytes:
    """Return the CycloneDX 1.6 document of a release, JSON. Each file is a component of its own."""
    bom = Bom()
    bom.metadata.timestamp = now
    bom.metadata.component = Component(
        name="facetally", version=version, type=ComponentType.APPLICATION, bom_ref=f"release {release}"
    )
    files: dict[str, Component] = {}
    for wheel in wheels:
        files.setdefault(wheel.path.name, _package(wheel))
    for bundle, card in bundles:
        files[bundle.model.name] = Component(
            name=bundle.name,
            version=card.version,
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=bundle.model.name,
            description=card.data,
            licenses=[DisjunctiveLicense(name=card.licence)],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=card.sha256)],
        )
    for component in files.values():
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, files.values())
    return JsonV1Dot6(bom).output_as_string(indent=2).encode() + b"\n"


def _package(wheel: Wheel) -> Component:
    return Component(
        name=wheel.name,
        version=str(wheel.version),
        type=ComponentType.LIBRARY,
        bom_ref=wheel.path.name,
        purl=PackageURL("pypi", None, wheel.name, str(wheel.version), {"file_name": wheel.path.name}),
        licenses=[DisjunctiveLicense(name=wheel.licence)] if wheel.licence else (),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
    )
