"""What holds for every test: nothing leaves the machine, and nothing that is set in the shell changes a result."""

import importlib.util
import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

from hypothesis import settings

from tests.reliability import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_itemcollected,
)

__all__ = ["pytest_addoption", "pytest_collection_modifyitems", "pytest_configure", "pytest_itemcollected"]

from tests.postgres_server import postgres
from tests.s3_server import s3, s3_server

__all__ = ["postgres", "s3", "s3_server"]

settings.register_profile("default", settings.default, deadline=None)  # speed is measured in bench/
settings.load_profile("default")

for name in [
    each for each in os.environ if each.startswith("ANEW_") and not each.startswith(("ANEW_LAWS_", "ANEW_SOAK_"))
]:
    del os.environ[name]

FEAST = Path(__file__).parents[1] / "build" / "feast" / "bin" / "python"
STUDIO = Path(__file__).parents[1] / "build" / "labelstudio" / "bin" / "label-studio"
DEPLOY = Path(__file__).parents[1] / "build" / "deploy" / "bin" / "python"
MLFLOW = Path(__file__).parents[1] / "build" / "mlflow" / "bin" / "mlflow"

collect_ignore = [
    *([] if importlib.util.find_spec("torch") else ["torch"]),
    *([] if FEAST.exists() else ["feast_store"]),
    *([] if STUDIO.exists() else ["label_studio"]),
    *([] if importlib.util.find_spec("ray") else ["ray_cluster"]),
    *([] if MLFLOW.exists() else ["mlflow_server"]),
    *([] if DEPLOY.exists() else ["deploy"]),
    *([] if os.environ.get("ANEW_SOAK_DEPENDENCIES") else ["soak"]),
]
"""What needs PyTorch, Feast, Label Studio, Ray, MLflow or schemas of Kubernetes: `make test-torch` and so on get it."""


def _stay_on_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        if host != "localhost" and not _is_loopback(host):
            raise RuntimeError(f"a test reaches beyond loopback: {host}")


def _is_loopback(host: object) -> bool:
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


sys.addaudithook(_stay_on_loopback)  # it cannot be taken off again, and need not be
