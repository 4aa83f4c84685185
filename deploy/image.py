"""Builds the image from this source tree, also where neither an image registry nor, inside a build, PyPI is reachable.

Called by chaos.targets.compose and deploy.prove. Laws: an image is named by a digest of what it is built from, so a
test never runs old code; what is fetched is kept in the cache folder, and only whole files lie there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from deploy.docker import EngineError, docker, has_image, run

ROOT = Path(__file__).parents[1]
REGISTRY_BASE = "python:3.11-slim-bookworm"
# Made here from Debian packages; Debian bookworm has Python 3.11.
OWN_BASE = "trizone-base:bookworm"
OWN_BASE_PYTHON = (3, 11)
DEBIAN = "bookworm"
DEBIAN_MIRROR = "http://deb.debian.org/debian"
LABEL = "org.trizone.source"
BUILD_TIMEOUT_S = 900.0
PULL_TIMEOUT_S = 300.0
DEBOOTSTRAP_TIMEOUT_S = 900.0
# Of Debian, what no container reads: it halves the image.
LEFT_OUT = ("var/cache/apt/*", "var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*")

Say = Callable[[str], None]


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where what was fetched is kept: TRIZONE_CACHE, or a folder of the user's own cache."""
    if chosen := environment.get("TRIZONE_CACHE"):
        return Path(chosen)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trizone"


def source_files(root: Path = ROOT) -> list[Path]:
    """What an image is built from, relative to `root`. Raises EngineError where this is no source tree."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(f"the image is built from the source tree, and {root} is none: {error.strerror}") from error
    packages: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    found = [Path("pyproject.toml"), Path("requirements.lock")]
    for package in packages:
        for path in (root / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".whl"):
                found.append(path.relative_to(root))
    return sorted(found)


def source_digest(root: Path = ROOT) -> str:
    """A name for this state of the source tree."""
    digest = sha256()
    for path in source_files(root):
        content = (root / path).read_bytes()
        digest.update(f"{path} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def ensure_image(say: Say, cache: Path | None = None) -> str:
    """The name of an image of this source tree, built now unless the engine has it. Raises EngineError."""
    digest = source_digest()
    name = f"trizone:{digest}"
    if has_image(name):
        return name
    cache = cache or cache_folder()
    base = ensure_base(say, cache)
    version = _python_of(base)
    wheels = _wheelhouse(say, cache) if version == sys.version_info[:2] else None
    if wheels is None and base == OWN_BASE:
        wanted, own = ".".join(map(str, OWN_BASE_PYTHON)), ".".join(map(str, sys.version_info[:2]))
        raise EngineError(
            f"the base image has Python {wanted} and this is {own}: wheels fetched here would not fit."
            f" Set this tree up with Python {wanted} (make clean setup PYTHON=python{wanted})"
        )
    say(f"building the image {name} on {base}")
    _build(name, digest, base, wheels)
    _drop_old_images(digest)
    return name


def _build(name: str, digest: str, base: str, wheels: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="trizone-build-") as folder:
        context = Path(folder)
        for path in source_files():
            target = context / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Modes of a checkout depend on its owner's umask; in the image everybody reads.
            shutil.copyfile(ROOT / path, target)
        for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else ():
            shutil.copyfile(wheel, context / "deploy" / "wheelhouse" / wheel.name)
        # With wheels nothing is fetched, and the build shows that it needs no network.
        network = ["--network", "none"] if wheels is not None else []
        docker(
            "build",
            "--file",
            str(context / "deploy" / "Dockerfile"),
            "--tag",
            name,
            "--build-arg",
            f"BASE={base}",
            "--label",
            f"{LABEL}={digest}",
            *network,
            folder,
            timeout_s=BUILD_TIMEOUT_S,
            merged=True,
        )


def _drop_old_images(digest: str) -> None:
    """Forget images of earlier states of the source tree; one that a container uses stays."""
    listed = docker("image", "ls", "--filter", f"label={LABEL}", "--format", "{{.Repository}}:{{.Tag}}")
    for name in listed.split():
        if name.startswith("trizone:") and name != f"trizone:{digest}" and "<none>" not in name:
            subprocess.run(["docker", "image", "rm", name], capture_output=True, check=False, timeout=BUILD_TIMEOUT_S)


def ensure_base(say: Say, cache: Path) -> str:
    """A base image that the engine has: TRIZONE_BASE, the registry's, or one made from Debian packages."""
    if chosen := os.environ.get("TRIZONE_BASE"):
        return chosen
    for known in (REGISTRY_BASE, OWN_BASE):
        if has_image(known):
            return known
    archive = cache / f"{OWN_BASE.replace(':', '-')}.tar"
    if not archive.exists():
        try:
            say(f"fetching {REGISTRY_BASE}")
            docker("pull", "--quiet", REGISTRY_BASE, timeout_s=PULL_TIMEOUT_S)
            return REGISTRY_BASE
        except EngineError as error:
            say(f"no image registry: {str(error).splitlines()[-1]}")
        _make_base(say, archive)
    docker("import", str(archive), OWN_BASE, timeout_s=BUILD_TIMEOUT_S)
    return OWN_BASE


def _make_base(say: Say, archive: Path) -> None:
    if os.geteuid() != 0:
        raise EngineError("a base image can be made from Debian packages by root only (debootstrap)")
    if shutil.which("debootstrap") is None:
        raise EngineError("a base image needs debootstrap (Debian: apt-get install debootstrap)")
    say(f"making {OWN_BASE} from Debian packages")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="base-", dir=archive.parent) as folder:
        root = Path(folder) / "root"
        run(
            ["debootstrap", "--variant=minbase", "--include=python3,python3-venv", DEBIAN, str(root), DEBIAN_MIRROR],
            timeout_s=DEBOOTSTRAP_TIMEOUT_S,
            merged=True,
        )
        beside = Path(folder) / "base.tar"
        left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
        run(["tar", "--create", "--file", str(beside), *left_out, "--directory", str(root), "."], timeout_s=300)
        beside.rename(archive)


def _python_of(base: str) -> tuple[int, ...]:
    code = "import sys; print(*sys.version_info[:2])"
    said = docker("run", "--rm", "--network", "none", base, "python3", "-c", code, timeout_s=PULL_TIMEOUT_S)
    return tuple(int(part) for part in said.split())


def _wheelhouse(say: Say, cache: Path) -> Path:
    """A folder with every wheel the image needs, fetched with this machine's pip and its settings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed: list[str] = project["project"]["dependencies"] + project["build-system"]["requires"]
    lock = (ROOT / "requirements.lock").read_bytes()
    digest = sha256(lock + "\n".join([*needed, sys.version]).encode()).hexdigest()[:16]
    folder = cache / f"wheels-{digest}"
    if folder.is_dir():
        return folder
    say("fetching wheels")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=cache) as work:
        beside = Path(work) / "wheels"
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        lock_options = ["--constraint", str(ROOT / "requirements.lock"), "--wheel-dir", str(beside)]
        run([*pip, *lock_options, *needed], timeout_s=BUILD_TIMEOUT_S, merged=True)
        beside.rename(folder)
    return folder
