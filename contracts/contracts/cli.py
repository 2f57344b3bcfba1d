"""`tieout contract`: render, check and compare the contract."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import TieoutError
from core.text import shown

if TYPE_CHECKING:
    from contracts.model import Contract

_REVISIONS = "git log --oneline -- contracts/contracts/transaction.odcs.yaml"

app = typer.Typer(
    no_args_is_help=True, help="The transaction contract: render what follows from it, check it, compare versions."
)


def mount(root: typer.Typer) -> None:
    """Register the command group on the root application."""
    root.add_typer(app, name="contract")


@app.command()
def render() -> None:
    """Write every file that follows from the contract.

    Example: ./scripts/tieout contract render
    """
    from contracts.model import load_contract
    from contracts.render import write_all
    from core.layout import CHECKOUT

    written = write_all(load_contract(), CHECKOUT)
    typer.echo("\n".join(f"written  {path}" for path in written) or "everything is as the contract says")


@app.command()
def check() -> None:
    """Say which rendered file is older than the contract; exit 1 if one is.

    Example: ./scripts/tieout contract check
    """
    from contracts.model import load_contract
    from contracts.render import find_stale
    from core.layout import CHECKOUT

    stale = find_stale(load_contract(), CHECKOUT)
    if stale:
        raise TieoutError(
            f"not as the contract says: {', '.join(stale)}.", "nothing was written.", "./scripts/tieout contract render"
        )
    typer.echo("everything is as the contract says")


def _text_of(source: str) -> str:
    from contracts.model import CONTRACT_FILE
    from core.layout import CHECKOUT

    try:
        if Path(source).is_file():
            return Path(source).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TieoutError(f"{source} cannot be read: {error}.", "nothing was compared.", _REVISIONS) from None
    path = CONTRACT_FILE.relative_to(CHECKOUT)
    result = subprocess.run(
        ["git", "show", "--end-of-options", f"{source}:{path}"],
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


def _parsed(source: str) -> "Contract":
    import yaml

    from contracts.model import parse_contract

    text = _text_of(source)
    try:
        return parse_contract(text)
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise TieoutError(
            f"{source} is no transaction contract ({type(error).__name__}).", "nothing was compared.", _REVISIONS
        ) from None


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A file, or a git revision.")] = "HEAD",
    new: Annotated[str, typer.Argument(help="A file, or a git revision; without it the contract as it is now.")] = "",
) -> None:
    """Say what changed from OLD to NEW and which changes break consumers.

    Exit 1 when the version number does not say so: a breaking change needs a higher major version,
    any other change a higher version.

    Example: ./scripts/tieout contract diff HEAD~1
    """
    if not old.strip():
        raise typer.BadParameter("it is empty; name a file or a git revision", param_hint="OLD")
    from contracts.diff import compare, version_is_honest
    from contracts.model import CONTRACT_FILE

    before, after = _parsed(old), _parsed(new or str(CONTRACT_FILE))
    changes = compare(before, after)
    for change in changes:
        typer.echo(f"{'BREAKS' if change.breaks else 'fits'}\t{shown(change.subject)}\t{shown(change.text)}")
    if not changes:
        typer.echo("no change")
    if not version_is_honest(before, after, changes):
        raise TieoutError(
            f"version {before.version} became {after.version}, which does not say what changed.",
            "nothing was written.",
            "raise `version` in contracts/contracts/transaction.odcs.yaml",
        )
