"""What a figure means: the sentence that the dbt project has for it, never a second one."""

import functools
import re
from pathlib import Path

from core.layout import CHECKOUT

_BLOCK = re.compile(r"{% docs (\w+) %}\n(.*?)\n{% enddocs %}", re.DOTALL)
MODELS = CHECKOUT / "transformation" / "models"


@functools.cache
def meanings(models: Path = MODELS) -> dict[str, str]:
    """Return the text of every docs block."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(models.glob("*.md")))
    return {name: " ".join(text.split()) for each in texts for name, text in _BLOCK.findall(each)}


def meaning(*names: str) -> str:
    """Return the sentences of some columns, one after the other; nothing for what the project does not know."""
    return " ".join(meanings()[name] for name in names if name in meanings())
