"""All that is wrong with the entities' files."""

from pathlib import Path

import yaml

from contracts.check import Document, Problem, contract_problems, unreadable
from contracts.consistency import entity_problems, sample_problems
from contracts.entities import ContractError, contract_file, entity_names, load_platform, parse_entity
from contracts.model import Entity
from contracts.names import name_problems, shared_names


def find_problems() -> list[Problem]:
    """Return all that is wrong with the entities' files."""
    found: list[Problem] = []
    stated: list[tuple[Document, Entity]] = []
    platform = load_platform()
    for name in entity_names():
        file = contract_file(name)
        text = file.read_text(encoding="utf-8")
        wrong = contract_problems(file, text)
        if not wrong:
            contract, entity = Document(file, text), parse_entity(text, platform)
            wrong = [*name_problems(contract, entity), *entity_problems(contract, entity, platform)]
            if entity.name == name:  # otherwise it is a copy, and all its names are another's
                stated.append((contract, entity))
            samples = file.with_name("samples.yaml")
            if not wrong:
                wrong = _wrong_samples(entity, samples, contract)
        found += wrong
    return [*found, *shared_names(stated)]


def require_sound_contracts() -> None:
    """Refuse to go on with a contract or a sample that is wrong.

    Raises:
        ContractError: the first one, with file, line and repair.
    """
    for problem in find_problems():
        raise ContractError(str(problem))


def _wrong_samples(entity: Entity, file: Path, contract: Document) -> list[Problem]:
    if not file.is_file():
        return [Problem(file, 1, "the file is missing", "make it, as in the other entities' folders")]
    try:
        return list(sample_problems(entity, Document(file, file.read_text(encoding="utf-8")), contract))
    except yaml.YAMLError as error:
        return [unreadable(file, error)]
