"""`tieout contract`: render, check and compare the contract."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import TieoutError
from core.text import shown

if TYPE_CHECKING:
    from contracts.model import Entity

_REVISIONS = "git log --oneline -- contracts/contracts/entities"

app = typer.Typer(
    no_args_is_help=True, help="The contracts of all entities: render what follows from it, check it, compare versions."
)


def mount(root: typer.Typer) -> None:
    """Register the command group on the root application."""
    root.add_typer(app, name="contract")


@app.command()
def render() -> None:
    """Write every file that follows from the contracts.

    Example: ./scripts/tieout contract render
    """
    from contracts.entities import stated_entities
    from contracts.render import write_all
    from core.layout import CHECKOUT

    written = write_all(stated_entities(), CHECKOUT)
    typer.echo("\n".join(f"written  {path}" for path in written) or "everything is as the contracts say")


@app.command()
def check() -> None:
    """Say what is wrong with a contract or its samples, and which rendered file is older; exit 1 if anything is.

    Example: ./scripts/tieout contract check
    """
    from contracts.entities import ContractError, stated_entities
    from contracts.problems import find_problems
    from contracts.render import find_stale
    from core.layout import CHECKOUT

    problems = find_problems()
    if problems:
        typer.echo("\n".join(shown(problem) for problem in problems[1:]), err=True)
        raise ContractError(str(problems[0]))
    stale = find_stale(stated_entities(), CHECKOUT)
    if stale:
        raise TieoutError(
            f"not as the contracts say: {', '.join(stale)}.", "nothing was written.", "./scripts/tieout contract render"
        )
    typer.echo("everything is as the contracts say")


@app.command()
def migration(entity: Annotated[str, typer.Argument(help="The new entity.")]) -> None:
    """Print the migration that makes a new entity's tables in silver.

    Keep it in warehouse/warehouse/migrations/versions: a later contract gets a later migration.

    Example: ./scripts/tieout contract migration refunds
    """
    from contracts.entities import entity_names, is_no_entity, load_entities, load_entity
    from contracts.render.migration import render
    from core.layout import CHECKOUT

    if entity not in entity_names():
        raise typer.BadParameter(is_no_entity(entity), param_hint="ENTITY")
    folder = CHECKOUT / "warehouse" / "warehouse" / "migrations" / "versions"
    # An empty file is the one that the shell has made for what is printed here.
    revisions = [path.name.partition("_")[0] for path in folder.glob("[0-9]*_*.py") if path.stat().st_size]
    typer.echo(render(load_entity(entity), load_entities(), revisions), nl=False)


def _text_of(source: str, path: Path) -> str:
    """Return a document: a file's, or what a path of the checkout held at a git revision."""
    from core.layout import CHECKOUT

    try:
        if Path(source).is_file():
            return Path(source).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TieoutError(f"{source} cannot be read: {error}.", "nothing was compared.", _REVISIONS) from None
    result = subprocess.run(
        ["git", "show", "--end-of-options", f"{source}:{path.relative_to(CHECKOUT)}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise TieoutError(
            f"{source} is neither a file nor a git revision that holds the contract.",
            "nothing was compared.",
            _REVISIONS,
        )
    return result.stdout


def _parsed(source: str, name: str) -> "Entity":
    """Return an entity as a file or a git revision states it; a file goes with the platform of today."""
    import yaml

    from contracts.entities import PLATFORM_FILE, contract_file, parse_entity, parse_platform

    text = _text_of(source, contract_file(name))
    shared = PLATFORM_FILE.read_text(encoding="utf-8") if Path(source).is_file() else _text_of(source, PLATFORM_FILE)
    try:
        return parse_entity(text, parse_platform(shared))
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise TieoutError(
            f"{source} is no contract of an entity ({type(error).__name__}).", "nothing was compared.", _REVISIONS
        ) from None


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A file, or a git revision.")] = "HEAD",
    new: Annotated[str, typer.Argument(help="A file, or a git revision; without it the contract as it is now.")] = "",
    entity: Annotated[str, typer.Option(help="Whose contract.")] = "transactions",
) -> None:
    """Say what changed from OLD to NEW and which changes break consumers.

    Exit 1 when the version number does not say so: a breaking change needs a higher major version,
    any other change a higher version.

    Example: ./scripts/tieout contract diff HEAD~1
    """
    if not old.strip():
        raise typer.BadParameter("it is empty; name a file or a git revision", param_hint="OLD")
    from contracts.diff import compare, version_is_honest
    from contracts.entities import contract_file, entity_names, is_no_entity
    from core.layout import CHECKOUT

    if entity not in entity_names():
        raise typer.BadParameter(is_no_entity(entity), param_hint="--entity")
    before, after = _parsed(old, entity), _parsed(new or str(contract_file(entity)), entity)
    changes = compare(before, after)
    for change in changes:
        typer.echo(f"{'BREAKS' if change.breaks else 'fits'}\t{shown(change.subject)}\t{shown(change.text)}")
    if not changes:
        typer.echo("no change")
    if not version_is_honest(before, after, changes):
        raise TieoutError(
            f"version {before.version} became {after.version}, which does not say what changed.",
            "nothing was written.",
            f"raise `version` in {contract_file(entity).relative_to(CHECKOUT)}",
        )
