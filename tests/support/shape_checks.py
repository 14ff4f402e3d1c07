"""Checks the array shapes in annotations, such as `Float32[np.ndarray, "B A"]`, wherever a function is called.

Functions and dataclasses that name no shape are left as they are. So are functions jitted by Numba: what a wrapper
returns cannot be compiled, so none of them may name a shape.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable, Sequence
from types import CodeType, ModuleType
from typing import Any

import beartype
import jaxtyping


def install(packages: Sequence[str]) -> None:
    """Check the shapes in all modules of these packages that are imported from now on."""
    sys.meta_path.insert(0, _Finder(packages))


def check(target: Any) -> Any:
    """The function or dataclass whose annotations name shapes, checked at every call."""
    function = target.__init__ if isinstance(target, type) else target
    scope = vars(sys.modules[target.__module__])
    # Types without a shape are left to mypy: they may be protocols, or imported for mypy alone.
    function.__annotations__ = {
        name: eval(text, scope) for name, text in function.__annotations__.items() if _names_shape(ast.parse(str(text)))
    }
    checked = jaxtyping.jaxtyped(function, typechecker=beartype.beartype)
    if isinstance(target, type):
        target.__init__ = checked
        return target
    return checked


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".")[0] not in self.packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew: the bytecode on disk has no checks."""
        tree = ast.parse(self.get_data(self.path))
        decorated = [node for node in ast.walk(tree) if _decorate(node)]
        if decorated:
            first = sum(1 for node in tree.body if _comes_first(node))
            tree.body.insert(first, ast.Import([ast.alias(__name__)]))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


def _decorate(node: ast.AST) -> bool:
    """Let `check` decorate the definition of a function or dataclass that names shapes; True where it was added."""
    if isinstance(node, ast.FunctionDef):
        arguments = node.args
        everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        annotations = [*(argument.annotation for argument in everything if argument), node.returns]
        place = len(node.decorator_list)  # the innermost: other decorators drop annotations
    elif isinstance(node, ast.ClassDef) and "dataclass" in _names(node.decorator_list):
        annotations = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        place = 0  # the outermost: there is no `__init__` before
    else:
        return False
    if not any(_names_shape(annotation) for annotation in annotations if annotation):
        return False
    decorator = ast.parse(f"{__name__}.{check.__name__}", mode="eval").body
    for part in ast.walk(decorator):
        ast.copy_location(part, node)
    node.decorator_list.insert(place, decorator)
    return True


def _names_shape(annotation: ast.AST) -> bool:
    """True for an annotation with a type of jaxtyping's in it."""
    types = [getattr(jaxtyping, name, None) for name in _names([annotation])]
    return any(isinstance(kind, type) and issubclass(kind, jaxtyping.AbstractDtype) for kind in types)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def _comes_first(node: ast.stmt) -> bool:
    """True for a docstring and imports from `__future__`."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
