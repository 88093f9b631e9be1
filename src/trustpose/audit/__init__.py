"""Metrics assembled into one record. `trustpose.audit("gt.json", "results.json")` runs one and gives the `Audit`."""

import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    """`trustpose.audit` is both this package and the promised function `tp.audit(…)`: Python binds a subpackage's name
    in its parent on import, so the package itself answers the call."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from trustpose.audit.build import audit

        return audit(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
