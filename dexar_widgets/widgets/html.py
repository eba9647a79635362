"""One self-contained interactive page: no request to anywhere, under a policy that forbids any."""

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path

from dexar_widgets.explanation import Explanation
from dexar_widgets.widgets import wire

__all__ = ["page"]

_SCRIPT = Path(__file__).with_name("static") / "standalone.js"

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
<noscript><p>{prompt}</p><p>{answer}</p><p>The interactive view needs JavaScript.</p></noscript>
</main>
<script type="application/json" id="header">{header}</script>
<script type="text/plain" id="payload">{payload}</script>
<script>{script}</script>
</body>
</html>
"""


def page(explanation: Explanation, *, title: str | None = None) -> str:
    """The explanation as one HTML file in which words, layers and filters work offline.

    Text from the model or the user is escaped; the page's policy admits its own script alone.
    """
    header, payload = wire.encode(explanation, title=title)
    script = _script()
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return _PAGE.format(
        policy=f"default-src 'none'; img-src data:; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        title=escape(header["title"]),
        prompt=escape(header["prompt"]),
        answer=escape(header["answer"]),
        header=_inline_json(header),
        payload=b64encode(payload).decode(),
        script=script,
    )


def _script() -> str:
    if not _SCRIPT.is_file():
        raise ValueError(
            f"The front end was not built: {_SCRIPT.name} is missing from {_SCRIPT.parent}. "
            "Run `make build`, or `npm --prefix js ci && npm --prefix js run build`, or install the package again."
        )
    script = _SCRIPT.read_text("utf-8").strip()
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _inline_json(value: object) -> str:
    """JSON that may stand inside a script element: no character there can end it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
