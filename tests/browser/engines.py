"""Firefox and WebKit, the engine of Safari, driven as they are installed.

Playwright drives builds of its own of these two, which no package registry has. Both understand the commands of W3C
WebDriver: WebKit over HTTP through WebKitWebDriver, Firefox over the socket that it opens by itself (Marionette). So a
client that sends a dozen of them is all that is needed, and no driver of Firefox's beside it.
"""

import base64
import io
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

WAITING = 20  # seconds, on a machine that is busy with other tests
ANSWERING = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how WebDriver writes an element
KEYS = {
    **{"Escape": "\ue00c", "Enter": "\ue007", "End": "\ue010", "Home": "\ue011", "PageDown": "\ue00f"},
    **{"ArrowLeft": "\ue012", "ArrowRight": "\ue014"},
}
# What goes wrong in a page from here on; of what went wrong while it was loaded, WebKit's driver tells nothing.
LISTEN = """
window.trouble = [];
for (const name of ["error", "unhandledrejection", "securitypolicyviolation"])
  window.addEventListener(name, (event) =>
    trouble.push(`${name}: ${event.message ?? event.reason ?? event.violatedDirective}`));
console.error = (...all) => trouble.push(`console: ${all.join(" ")}`);
"""
CONSOLE = """
const found = Services.console.getMessageArray().filter((m) => m instanceof Ci.nsIScriptError);
Services.console.reset();
return found.filter(({ sourceName }) => sourceName?.startsWith("file:")).map((m) => `${m.category}: ${m.errorMessage}`);
"""
FIND = """
const shown = (node) => node.getClientRects().length > 0;
const names = (node) => [node.ariaLabel, node.labels?.[0]?.textContent, node.textContent];
const named = (node) => names(node).some((name) => name?.trim() === arguments[1]);
const found = [...document.querySelectorAll(arguments[0])].filter(shown);
return (arguments[1] === null ? found[0] : found.find(named)) ?? null;
"""


class Engine:
    """A running browser with one page."""

    def send(self, command: str, **parameters: object) -> object:
        """One command of WebDriver's; the engines differ in how it is brought to them."""
        raise NotImplementedError

    def complaints(self) -> list[str]:
        """Errors of the page and what its policy refused, since the last time they were asked for."""
        return self.js("return window.trouble ? trouble.splice(0) : []")

    def open(self, file: Path, *, width: int = 1280, height: int = 1000) -> None:
        """Show a page of an explanation from its file."""
        self.send("url", url=file.as_uri())
        self.js(LISTEN)
        self.resize(width, height)
        self.wait("document.querySelector('.stage canvas[data-sum], [role=alert]')")

    def resize(self, width: int, height: int) -> None:
        """Give the page this size, or the smallest that the window can have."""
        frame = self.js("return [outerWidth - innerWidth, outerHeight - innerHeight]")
        self.send("window/rect", x=0, y=0, width=width + frame[0], height=height + frame[1])

    def js(self, body: str, *arguments: object) -> object:
        """What a function of this body returns in the page."""
        return self.send("execute/sync", script=body, args=list(arguments))

    def wait(self, expression: str, *arguments: object) -> object:
        """The first value of the expression that is true."""
        end = time.monotonic() + WAITING
        while not (found := self.js(f"return {expression}", *arguments)):
            assert time.monotonic() < end, f"waited in vain for {expression}"
            time.sleep(0.05)
        return found

    def frame(self) -> None:
        """Wait until what changed is drawn."""
        two = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(arguments[0])))"
        self.send("execute/async", script=two, args=[])

    def click(self, selector: str, name: str | None = None, *, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Click the first such element in sight (of this name), at a place of it from its left and top."""
        node = self.js(FIND, selector, name)
        assert node is not None, f"there is no {selector} called {name}"
        where = "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
        x, y, width, height = self.js(f"arguments[0].scrollIntoView({{block: 'center'}}); {where}", node)
        self.click_at(x + at[0] * width, y + at[1] * height)

    def click_at(self, x: float, y: float) -> None:
        """Click a point of the window."""
        there = {"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y), "origin": "viewport"}
        click = [there, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": click}
        self.send("actions", actions=[mouse])

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        strokes = [{"type": way, "value": KEYS.get(key, key)} for key in keys for way in ("keyDown", "keyUp")]
        self.send("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def text(self, selector: str) -> str:
        """The text of an element, white space collapsed."""
        return " ".join(self.js("return document.querySelector(arguments[0]).innerText", selector).split())

    def data(self) -> dict[str, float]:
        """The map's own account of itself."""
        found = self.js("return { ...document.querySelector('.stage canvas').dataset }")
        return {name: float(value) for name, value in found.items()}

    def pixels(self) -> list[int]:
        """RGBA of the overlay, row-major, once what changed is drawn."""
        self.frame()
        return self.js(
            "const c = document.querySelector('.stage canvas');"
            "return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
        )

    def picture(self, selector: str) -> Image.Image:
        """What is seen of an element that is in the window, now."""
        left, top, right, bottom = self.js(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.left, b.top, b.right, b.bottom]",
            selector,
        )
        shot = Image.open(io.BytesIO(base64.b64decode(self.send("screenshot"))))
        return shot.convert("RGB").crop((round(left), round(top), round(right), round(bottom)))

    def settled(self, selector: str) -> Image.Image:
        """What is seen of it once that stays the same: images are decoded, and what was drawn is shown."""
        self.wait("[...document.images].every((image) => image.complete)")
        seen = [self.picture(selector)]
        while len(seen) < 3 or any(seen[-1] != each for each in seen[-3:]):
            assert len(seen) < 50, f"{selector} does not come to rest"
            self.frame()
            seen.append(self.picture(selector))
        return seen[-1]


class WebKit(Engine):
    """Through WebKitWebDriver, in a window of its own display."""

    METHODS: Mapping[str, str] = {"screenshot": "GET"}

    def __init__(self, url: str) -> None:
        self.url = url
        got = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {}}})
        self.name = f"WebKit {got['capabilities']['browserVersion']}"
        self.session = f"/session/{got['sessionId']}"

    def send(self, command: str, **parameters: object) -> object:
        method = self.METHODS.get(command, "POST")
        return self._ask(method, f"{self.session}/{command}", None if method == "GET" else parameters)

    def end(self) -> None:
        """Close the window."""
        self._ask("DELETE", self.session, None)

    def _ask(self, method: str, path: str, body: object) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWERING) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"WebKit, asked for {path}: {error.read().decode()}") from None


class Firefox(Engine):
    """Through Marionette: commands and answers as JSON, each after its length."""

    NAMES: Mapping[str, str] = {
        "url": "WebDriver:Navigate",
        "window/rect": "WebDriver:SetWindowRect",
        "execute/sync": "WebDriver:ExecuteScript",
        "execute/async": "WebDriver:ExecuteAsyncScript",
        "actions": "WebDriver:PerformActions",
        "screenshot": "WebDriver:TakeScreenshot",
        "session": "WebDriver:NewSession",
        "context": "Marionette:SetContext",
    }

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWERING)
        self.stream = self.socket.makefile("rb")
        self.sent = 0
        self._read()  # it says first what it is
        self.name = f"Firefox {self.send('session', capabilities={})['capabilities']['browserVersion']}"

    def send(self, command: str, **parameters: object) -> object:
        if command == "screenshot":
            parameters["full"] = False
        self.sent += 1
        message = json.dumps([0, self.sent, self.NAMES[command], parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, value = self._read()
        if error:
            raise RuntimeError(f"Firefox, asked for {command}: {error}")
        return value["value"] if set(value) == {"value"} else value

    def complaints(self) -> list[str]:
        """All that its console has of the page, from its beginning on."""
        self.send("context", value="chrome")
        try:
            found = self.js(CONSOLE)
        finally:
            self.send("context", value="content")
        return [*super().complaints(), *found]

    def _read(self) -> list[object]:
        length = b""
        while not length.endswith(b":"):
            byte = self.stream.read(1)
            if not byte:
                raise ConnectionError("Firefox has closed the connection.")
            length += byte
        return json.loads(self.stream.read(int(length[:-1])))
