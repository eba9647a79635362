"""What a person waits for: importing, loading the embedded model, explaining, the demo.

    python -m tests.benchmarks.startup

Each is the median of fresh interpreters, started one after the other; ``explain`` is the second
explanation of a process, for the first also pays for what torch sets up once.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date

RUNS = 5
IMPORT = "import time; a = time.perf_counter(); import dexar_widgets; print(time.perf_counter() - a)"
LOAD = "import time; a = time.perf_counter(); import dexar_widgets as dx; dx.load(); print(time.perf_counter() - a)"
EXPLAIN = """
import time, dexar_widgets as dx
vlm, image = dx.load(), dx.lab.scene(7).image
dx.explain(vlm, image)
a = time.perf_counter()
dx.explain(vlm, image)
print(time.perf_counter() - a)
"""


def printed_seconds(script: str) -> float:
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def demo_seconds() -> float:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from dexar_widgets.cli import main; main()", "demo"]
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    rows = {
        "import dexar_widgets": ([printed_seconds(IMPORT) for _ in range(RUNS)], 0.2),
        "dx.load(), cold interpreter": ([printed_seconds(LOAD) for _ in range(RUNS)], 4),
        "dx.explain, embedded model": ([printed_seconds(EXPLAIN) for _ in range(RUNS)], 1),
        "dexar demo, whole command": ([demo_seconds() for _ in range(RUNS)], 20),
    }
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'':30}{'median':>9}{'worst':>9}{'limit':>9}   (seconds)")
    for name, (seconds, limit) in rows.items():
        print(f"{name:30}{statistics.median(seconds):9.3f}{max(seconds):9.3f}{limit:9.1f}")
    print(json.dumps({name: seconds for name, (seconds, _) in rows.items()}))


if __name__ == "__main__":
    main()
