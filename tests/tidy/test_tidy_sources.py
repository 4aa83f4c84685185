"""Rules of this code base that no linter knows, checked on the syntax trees of all sources.

Shared STYLE.md and CONTRIBUTING: banned calls, lengths, docstrings, overviews, leftovers. The lists of exceptions only
shrink: an entry that is no longer needed fails, and so does one whose size grew.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
# Top-level packages of the server, of its tools and of its tests' harness.
PRODUCT = ("dynamo", "histories", "node", "replication", "router", "runtime", "tools", "topology", "wire")
PACKAGES = (*PRODUCT, "client", "services", "simulation", "chaos", "deploy", "harness")
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# Path -> lines. Only to shrink; a new entry needs a reason here.
LONG_MODULES: dict[str, int] = {}
# "path::qualified name" -> lines.
LONG_FUNCTIONS: dict[str, int] = {}

# Name of a banned call -> (folders that may use it, the reason).
CLOCKS = ("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep")
BANNED_CALLS: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(CLOCKS, (("runtime", "harness", "chaos"), "time is an argument (runtime.clock)")),
    "datetime.datetime.now": (("runtime",), "time is an argument (runtime.clock)"),
    "print": ((), "processes log (runtime.logs), commands write through their console"),
    "os.urandom": (("runtime",), "randomness is an argument"),
}
RANDOM_FUNCTIONS = frozenset(
    {"random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "randbytes", "getrandbits"}
)
# Law 4: no pickle from a socket or a file; not even imported.
BANNED_IMPORTS = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"})
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


@dataclass(frozen=True)
class Module:
    """One parsed source file."""

    path: str
    text: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of its tree."""
        return tuple(ast.walk(self.tree))

    @property
    def package(self) -> str:
        """Its top-level folder."""
        return self.path.split("/", 1)[0]


@cache
def sources() -> tuple[str, ...]:
    """Every file git knows or would add, so that nothing of a virtual environment or a build is looked at."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        # A source archive has no git.
        names = [str(path.relative_to(ROOT)) for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*")]
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


@cache
def module_of(name: str) -> Module:
    """A source file, parsed once for all rules."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return Module(name, text, ast.parse(text, name))


def modules(*folders: str) -> Iterator[Module]:
    """All hand-written Python modules in these folders."""
    for name in sources():
        if name.endswith(".py") and not name.endswith("_pb2.py") and name.split("/", 1)[0] in folders:
            yield module_of(name)


@pytest.fixture(scope="module", autouse=True)
def _trees_end_with_the_module() -> Iterator[None]:
    """Or the garbage collector would go through a million nodes in every test that comes after."""
    yield
    module_of.cache_clear()


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its qualified name."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from functions(child, prefix)


def full_names(module: Module) -> dict[str, str]:
    """What a name at the top of an expression stands for: `from time import time as now` -> now: time.time."""
    names = {}
    for node in module.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`time.monotonic` for the expression that means it; empty for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""


def is_banned(name: str, package: str) -> str:
    """Why this package may not use what `name` stands for; empty when it may."""
    if name in BANNED_CALLS:
        allowed, reason = BANNED_CALLS[name]
        return "" if package in allowed else reason
    module, _, function = name.rpartition(".")
    # random.Random(seed) is how randomness is passed in; the module's own functions share a hidden one.
    return "randomness is an argument" if module == "random" and function in RANDOM_FUNCTIONS else ""


def test_there_are_sources_to_check() -> None:
    assert len(list(modules(*PRODUCT))) > 60


def test_no_banned_call_outside_its_folder() -> None:
    found = []
    for module in modules(*PRODUCT, "services", "client"):
        names = full_names(module)
        # Not only calls: `clock = time.monotonic` reads the clock as well.
        for node in module.nodes:
            if isinstance(node, ast.Name | ast.Attribute):
                name = dotted(node, names)
                if name and (reason := is_banned(name, module.package)):
                    found.append(f"{module.path}:{node.lineno}: {name}: {reason}")
    assert not found, "\n".join(found)


def test_nothing_imports_pickle() -> None:
    found = []
    for module in modules(*PACKAGES):
        for node in module.nodes:
            imported = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            found += [
                f"{module.path}:{node.lineno}: {name}" for name in imported if name.split(".")[0] in BANNED_IMPORTS
            ]
    assert not found, "\n".join(found)


def check_lengths(found: dict[str, int], exceptions: dict[str, int]) -> None:
    """Only the exceptions are too long, none of them longer than it was, and none without need."""
    unexpected = {name: lines for name, lines in found.items() if lines > exceptions.get(name, 0)}
    assert not unexpected, f"too long, or longer than they were: {unexpected}"
    assert not exceptions.keys() - found.keys(), "no longer needed: take them off the list of exceptions"


def test_modules_are_short() -> None:
    long = {}
    for module in modules(*PACKAGES):
        lines = len(module.text.splitlines())
        if lines > MODULE_LINES_MAX:
            long[module.path] = lines
    check_lengths(long, LONG_MODULES)


def test_functions_are_short() -> None:
    long = {}
    for module in modules(*PACKAGES, "examples", "tests"):
        for name, function in functions(module.tree):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                long[f"{module.path}::{name}"] = lines
    check_lengths(long, LONG_FUNCTIONS)


def test_every_module_opens_with_its_role() -> None:
    missing = [module.path for module in modules(*PACKAGES, "examples", "tests") if not ast.get_docstring(module.tree)]
    assert not missing


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class PublicName:
    """A class, function or method that others may use; `owner` is a method's class."""

    path: str
    node: Definition
    owner: ast.ClassDef | None

    @property
    def is_documented(self) -> bool:
        """Has it a docstring?"""
        return bool(ast.get_docstring(self.node))


def public_names(module: Module) -> Iterator[PublicName]:
    """Everything public in one module."""
    for node in module.tree.body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        yield PublicName(module.path, node, None)
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            # A setter is documented with its property.
            is_setter = any(ast.unparse(one).endswith("setter") for one in getattr(inner, "decorator_list", ()))
            if isinstance(inner, Definition) and not inner.name.startswith("_") and not is_setter:
                yield PublicName(module.path, inner, node if isinstance(node, ast.ClassDef) else None)


def test_everything_public_is_documented() -> None:
    names = [name for module in modules(*PACKAGES) for name in public_names(module)]
    # An override is documented where it was declared first.
    declared = {name.node.name for name in names if name.owner is not None and name.is_documented}
    missing = [
        f"{name.path}:{name.node.lineno}: {name.node.name}"
        for name in names
        if not name.is_documented and not (name.owner is not None and name.owner.bases and name.node.name in declared)
    ]
    assert not missing, "\n".join(missing)


def test_nothing_is_left_over() -> None:
    own = str(Path(__file__).relative_to(ROOT))
    found = []
    for name in sources():
        if name == own or not name.endswith((".py", ".md", ".proto", ".yaml", ".toml", "Makefile", ".sh")):
            continue
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), start=1):
            if LEFTOVER.search(line):
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", [name for name in PACKAGES if (ROOT / name / "__init__.py").exists()])
def test_every_package_has_an_overview(package: str) -> None:
    overview = ROOT / package / "OVERVIEW.md"
    assert overview.exists()
    text = overview.read_text(encoding="utf-8").lower()
    missing = [word for word in ("purpose", "boundary", "invariants", "failure modes") if word not in text]
    assert not missing, f"{overview}: says nothing of {missing}"


def test_tests_have_unique_names_and_no_packages() -> None:
    tests = [name for name in sources() if name.startswith("tests/") and name.endswith(".py")]
    # importlib mode: an __init__.py would make tests/node a package that shadows node.
    assert not [name for name in tests if name.endswith("__init__.py")]
    names = [Path(name).name for name in tests if not name.endswith("conftest.py")]
    assert sorted(names) == sorted(set(names))


def test_every_test_module_says_what_it_needs() -> None:
    unmarked = [
        module.path
        for module in modules("tests")
        if Path(module.path).name.startswith("test_") and not re.search(r"^pytestmark = ", module.text, re.MULTILINE)
    ]
    assert not unmarked, "set pytestmark to unit, integration, cluster or simulation"
