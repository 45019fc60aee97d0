"""The code that a job depends on, as a digest of the definitions that its script can reach.

A script reaches what its statements name, then what these definitions name, and so on through the library, function by function.
Not part of it: comments, docstrings, annotations, formatting, where the clone lies, the version of dagal, and the contents of
catalogues (`dagal.registry.Registry`) and of kinds of artifacts (`dagal.artifacts.Kind`). What a job finds in a catalogue by a name
in its settings has to be told. The plan is not part of it either: what it decides, inputs and settings, Snakemake compares itself.
Read as text: no module of the library is run for it.
"""

import ast
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

WORKFLOW = Path(__file__).parents[2]
CATALOGUES = ("Registry", "Kind")  # a dict that is handed to one of these is not code
VERSION = "__version__"
PLAN = "dagal.plan"


@dataclass(frozen=True)
class Statement:
    """A top-level statement of a module: the names that it binds, its text, and what it names: (imports, attribute chains)."""

    binds: frozenset
    text: str
    names: tuple  # chains such as ("artifacts", "read"), of names that are not local to a function
    imports: tuple  # (local name, module, attribute or None)


@dataclass(frozen=True)
class Module:
    """The statements of a file, those that bind each name, and those that bind nothing and so always run."""

    statements: tuple
    binding: dict
    effects: tuple
    imports: dict  # name -> (module, attribute or None)


def digest(script: str | Path, looked_up: Iterable = (), workflow: Path = WORKFLOW) -> str:
    """A short hash of what a script can reach, and of what it looks up by a name in its settings.

    ``looked_up``: functions and classes of the library, themselves or as ``"dagal.module:name"``; anything else counts as plain data.
    """
    roots, facts = [], []
    for item in looked_up:
        if isinstance(item, str) and item.startswith("dagal.") and ":" in item:
            roots.append(tuple(item.split(":")))
        elif callable(item):
            roots.append((item.__module__, item.__qualname__.split(".")[0]))
        else:
            facts.append(item)
    return _digest(str(script), tuple(roots), json.dumps(facts, sort_keys=True, default=str), str(workflow))


@functools.cache
def _digest(script: str, roots: tuple, facts: str, workflow: str) -> str:
    found = reached(script, roots, workflow)
    text = "\n".join([facts, *(f"{module}\n{text}" for module, text in sorted(found))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reached(script: str, roots: Iterable[tuple[str, str]], workflow: str) -> set[tuple[str, str]]:
    """(module, text) of every statement that a script, or one of the roots (module, name), can reach."""
    home = Path(script).stem
    place = {home: Path(script)}
    found, seen = set(), set()
    waiting = [(home, None), *roots]

    def source(module: str) -> Module | None:
        path = place.get(module) or file_of(module, workflow)
        return parse(str(path)) if path else None

    while waiting:
        module, name = waiting.pop()
        if (module, name) in seen:
            continue
        seen.add((module, name))
        parsed = source(module)
        if parsed is None or name == VERSION or module.startswith(PLAN):
            continue
        if name is None:
            statements = parsed.statements
        elif name in parsed.binding:
            statements = (*parsed.binding[name], *parsed.effects)
        elif name in parsed.imports:
            waiting.append(parsed.imports[name])
            statements = parsed.effects
        else:  # a name that the module makes when it is asked for
            statements = (*parsed.binding.get("__getattr__", ()), *parsed.effects)
        for statement in statements:
            found.add((module, statement.text))
            own = {local: (target, attribute) for local, target, attribute in statement.imports}
            for chain in statement.names:
                waiting += _targets(chain, own, parsed, module, source)
    return found


def _targets(chain: tuple, own: dict, parsed: Module, module: str, source: Callable) -> Iterator[tuple]:
    """What a chain of attributes such as ``architectures.load`` leads to: (module, name), or (module, None) for all of a module."""
    first, rest = chain[0], list(chain[1:])
    if first in own:
        target = own[first]
    elif first in parsed.imports and first not in parsed.binding:
        target = parsed.imports[first]
    else:
        if first in parsed.binding:
            yield module, first
        return
    name, attribute = target
    if attribute is not None and source(f"{name}.{attribute}") is not None:
        name, attribute = f"{name}.{attribute}", None  # ``from dagal import artifacts``
    while attribute is None and rest:
        attribute = rest.pop(0)
        if source(f"{name}.{attribute}") is not None:
            name, attribute = f"{name}.{attribute}", None
    if source(name) is not None:
        yield name, attribute


@functools.cache
def file_of(module: str, workflow: str) -> Path | None:
    """The file of a module of the library, or of one in workflow/scripts; None for anything else."""
    base = Path(workflow, *module.split(".")) if module.split(".")[0] == "dagal" else Path(workflow, "scripts", module)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None


@functools.cache
def parse(path: str) -> Module:
    """The statements of a Python file."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    statements, binding, effects, imports = [], {}, [], {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for local, target, attribute in imported(node):
                imports[local] = (target, attribute)
            continue
        if is_docstring(node):
            continue
        names = Names(node)
        statement = Statement(frozenset(names.binds), dump(node), tuple(sorted(names.chains)), tuple(names.imports))
        statements.append(statement)
        for name in statement.binds:
            binding.setdefault(name, []).append(statement)
        if not statement.binds:
            effects.append(statement)
    return Module(tuple(statements), binding, tuple(effects), imports)


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str | None]]:
    """(local name, module, attribute) of an import."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, node.module, alias.name
        elif alias.asname:
            yield alias.asname, alias.name, None
        else:
            yield alias.name.split(".")[0], alias.name.split(".")[0], None


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class Names(ast.NodeVisitor):
    """What a top-level statement binds, what it imports inside, and the attribute chains that start at a name of its module."""

    def __init__(self, statement: ast.stmt):
        self.binds, self.chains, self.imports, self.scopes = set(), set(), [], []
        self.visit(statement)

    def visit_FunctionDef(self, node):
        self._bind(node.name)
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(part)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self._scope({one.arg for one in every if one} | bound_in(node.body), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        arguments = node.args
        for part in (*arguments.defaults, *filter(None, arguments.kw_defaults)):
            self.visit(part)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self._scope({one.arg for one in every if one}, [node.body])

    def visit_ClassDef(self, node):
        self._bind(node.name)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self._scope(set(), node.body)  # names of a class are no names of its methods

    def _comprehension(self, node):
        names = {name.id for one in node.generators for name in ast.walk(one.target) if isinstance(name, ast.Name)}
        self._scope(names, list(ast.iter_child_nodes(node)))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Import(self, node):
        self.imports += imported(node)

    visit_ImportFrom = visit_Import

    def visit_AnnAssign(self, node):
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def visit_Call(self, node):
        self.visit(node.func)
        dicts = not is_catalogue(node)
        for part in (*node.args, *(keyword.value for keyword in node.keywords)):
            if dicts or not isinstance(part, ast.Dict):
                self.visit(part)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self._chain((node.id,))
        else:
            self._bind(node.id)

    def visit_Attribute(self, node):
        parts, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            parts.append(base.attr)
            base = base.value
        if isinstance(base, ast.Name):
            self._chain((base.id, *reversed(parts)))
        else:
            self.visit(base)

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            self._chain((node.target.id,))

    def _bind(self, name):
        if not self.scopes:
            self.binds.add(name)

    def _chain(self, chain):
        if not any(chain[0] in scope for scope in self.scopes):
            self.chains.add(chain)

    def _scope(self, names, body):
        self.scopes.append(names)
        for node in body:
            self.visit(node)
        self.scopes.pop()


def bound_in(body: list) -> set[str]:
    """Names that are local to a function because its own statements bind them; imports are followed, so they are left out."""
    found, waiting, outer = set(), list(body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Global | ast.Nonlocal):
            outer |= set(node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return found - outer


def is_catalogue(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in CATALOGUES


def dump(node) -> str:
    """A text of a syntax tree that is the same on all versions of Python, without docstrings, annotations and catalogues' contents."""
    if isinstance(node, list):
        return f"[{','.join(map(dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.AnnAssign) and node.value:
        node = ast.Assign([node.target], node.value)
    fields = []
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment", "type_params", "kind", "ctx", "simple"):
            continue
        if name == "body" and isinstance(value, list):
            value = [one for one in value if not is_docstring(one)]
        if name in ("args", "keywords") and isinstance(node, ast.Call) and is_catalogue(node):
            value = [one for one in value if not isinstance(getattr(one, "value", one), ast.Dict)]
        if value is None or value == []:
            continue
        fields.append(f"{name}={dump(value)}")
    return f"{type(node).__name__}({','.join(fields)})"
