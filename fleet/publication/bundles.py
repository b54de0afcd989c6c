"""Model bundles of a release: read, compared with their cards, and refused if their figures are not good enough."""

import hashlib
from pathlib import Path

from contract.card import Card, read_card
from contract.errors import TopicError
from contract.gate import card_faults
from contract.release import BundleFiles, bundle_path
from contract.topics import check_id
from fleet.errors import Refused
from fleet.publication.repository import Changes


def add_bundle(path: Path, changes: Changes) -> tuple[BundleFiles, Card]:
    """Add a bundle to the targets, by the path of its card. Raise Refused or BundleError if it must not be released."""
    model = path.with_suffix(".tflite")
    try:
        text, content = path.read_bytes(), model.read_bytes()
        check_id("name", path.stem)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    except TopicError as error:
        raise Refused(f"{path}: {error}") from error
    card = read_card(text, str(path))
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card.sha256:
        raise Refused(f"{model}: must have the SHA-256 of its card, {card.sha256[:12]}..., has {sha256[:12]}...")
    if faults := list(card_faults(card)):
        raise Refused("\n".join(f"{path}: {fault}" for fault in faults))
    files = BundleFiles(
        name=path.stem,
        card=changes.add_file(bundle_path(path.stem, sha256, "json"), path),
        model=changes.add_file(bundle_path(path.stem, sha256, "tflite"), model),
    )
    return files, card
