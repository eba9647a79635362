"""Notebook servers on this machine alone, each with its own folders: started, asked, stopped by their own process."""

import contextlib
import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.browser.hosts.programs import free_port, patiently, started

ROOT = Path(__file__).parents[3]


def environment(folder: Path) -> dict[str, str]:
    """The environment of a server and its kernels: nothing of the user's settings, this checkout, no network."""
    places = {
        name: str(folder / name.lower())
        for name in (
            *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"),
            *("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"),
            *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
        )
    }
    return (
        {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTEST"))}
        | places
        | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    )


class Server:
    """A running server, the folder that it serves, and the one that holds its settings."""

    def __init__(self, url: str, folder: Path, home: Path) -> None:
        self.url = url
        self.folder = folder
        self.home = home

    def ask(self, path: str, *, method: str = "GET", body: object = None) -> object:
        """A call of its REST interface."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{path}", data, method=method)) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextlib.contextmanager
def running(command: Sequence[str], url: str, folder: Path, *, home: Path) -> Iterator[Server]:
    """Start a server, wait until it answers, and stop it whatever happens."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with started([sys.executable, "-m", *command], log, cwd=folder, env=environment(home)) as program:
        patiently(lambda: urllib.request.urlopen(url).close(), program, log)
        yield Server(url, folder, home)


def jupyter(app: str, folder: Path) -> contextlib.AbstractContextManager[Server]:
    """JupyterLab ("lab") or Notebook 7 ("notebook") on the folder's notebooks; its page lets a test call the app."""
    files, home = folder / "files", folder / "home"
    files.mkdir()
    asked = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    asked.parent.mkdir(parents=True)
    asked.write_text('{"fetchNews": "false", "checkForUpdates": false}')  # else it asks, over the notebook
    port = free_port()
    own = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
    options = [
        *("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={files}"),
        *("--LanguageServerManager.autodetect=False", "--ServerApp.terminals_enabled=False"),
        *(f"--{own}.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"),
    ]
    return running(["jupyter", app, *options], f"http://127.0.0.1:{port}", files, home=home)


def marimo(app: Path, folder: Path) -> contextlib.AbstractContextManager[Server]:
    """A marimo notebook run as an app."""
    port = free_port()
    command = ["marimo", "-q", "-y", "run", str(app), "--headless", "--no-token", f"--port={port}", "--host=127.0.0.1"]
    return running(command, f"http://127.0.0.1:{port}", app.parent, home=folder / "home")
