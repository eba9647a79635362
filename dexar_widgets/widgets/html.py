"""One self-contained interactive page: no request to anywhere, under a policy that forbids any."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from dexar_widgets.explanation import Explanation
from dexar_widgets.widgets import wire

__all__ = ["PAGE_BYTES", "page", "script_of"]

STATIC = Path(__file__).with_name("static")
PAGE_BYTES = 800_000
"""A page holds the parts that fit into this many bytes, and ``open`` in any case."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="dexar_widgets">
<title>{title}</title>
</head>
<body>
<main id="view">
<noscript><p>{question}</p><p>{answer}</p><p>The interactive view needs JavaScript.</p></noscript>
</main>
<script type="application/json" id="document">{document}</script>
<script type="text/plain" id="payload">{payload}</script>
<script>{script}</script>
</body>
</html>
"""


def page(
    sources: Explanation | Sequence[Explanation],
    *,
    title: str | None = None,
    view: Mapping[str, Any] | None = None,
    lesson: Sequence[Mapping[str, Any]] = (),
    regions: Sequence[Mapping[str, Any]] = (),
    results: Sequence[Mapping[str, Any]] = (),
    max_bytes: int = PAGE_BYTES,
) -> str:
    """The explanation as one HTML file in which words, layers and filters work offline.

    Text from the model or the user is escaped; the page's policy admits its own script alone.
    Options are those of `wire.document`; several sources can be compared in the page.
    """
    sources = [sources] if isinstance(sources, Explanation) else sources
    document, payload = wire.document(
        sources, title=title, view=view, lesson=lesson, regions=regions, results=results, max_bytes=max_bytes
    )
    script = script_of("standalone.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    first = document["sources"][0]
    return _PAGE.format(
        policy=f"default-src 'none'; img-src data:; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        title=escape(first["title"]),
        question=escape(first["question"]),
        answer=escape(first["answer"]),
        document=_inline_json(document),
        payload=b64encode(payload).decode(),
        script=script,
    )


def script_of(name: str) -> str:
    """A built script, such that nothing in it can end a script element."""
    file = STATIC / name
    if not file.is_file():
        raise ValueError(
            f"The front end was not built: {name} is missing from {STATIC}. "
            "Run `make build`, or `npm --prefix js ci && npm --prefix js run build`, or install the package again."
        )
    script = file.read_text("utf-8").strip()
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _inline_json(value: object) -> str:
    """JSON that may stand inside a script element: no character there can end it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
