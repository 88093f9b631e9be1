"""Assemble metrics into one record: `trustpose.audit("gt.json", "results.json")` returns an `Audit`."""

import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    """`trustpose.audit` is both this package and the public function `tp.audit(…)`. On import Python binds a subpackage
    to its name in the parent, so the package itself is callable."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from trustpose.audit.build import audit

        return audit(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
