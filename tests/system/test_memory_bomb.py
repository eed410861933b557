"""A small file that asks for all the memory there is ends the limited process that reads it, and nobody else."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from anew.adapters.job_worker import EXITS

pytestmark = pytest.mark.system

CHILD = """
import os, sys
from anew.adapters.job_worker import limit
from anew.adapters.model_format_onnx import OnnxFormat
from anew.ports.compute import Limits
import numpy, onnx, onnxruntime
limit(Limits(memory_bytes=int(sys.argv[2])))
reader = OnnxFormat()
session = reader.decode(open(sys.argv[1], "rb").read())
print(reader.score(session, numpy.zeros((1, 1)), classify=False))
"""


def bomb(floats: int) -> bytes:
    """Return a graph that adds the sum of so many zeros to its input; the size of the file does not depend on it."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    x, y = (helper.make_tensor_value_info(name, kind.FLOAT, [None, 1]) for name in "xy")
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    size = helper.make_tensor("n", kind.INT64, [1], [floats])
    made = helper.make_graph(nodes, "g", [x], [y], initializer=[size])
    return bytes(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()
    )


def read(file: Path, memory_bytes: int = 3 << 30) -> subprocess.CompletedProcess[str]:
    """Read a graph in a limited process, as jobs and first loads are."""
    given = {"PATH": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
    program = [sys.executable, "-c", CHILD, str(file), str(memory_bytes)]
    return subprocess.run(program, capture_output=True, text=True, check=False, env=given, timeout=90)


@pytest.mark.fault("R8")
def test_a_file_of_a_few_hundred_bytes_that_asks_for_ten_gigabytes_kills_its_child_alone(tmp_path: Path) -> None:
    hostile = tmp_path / "bomb.onnx"
    hostile.write_bytes(bomb(2_500_000_000))
    assert hostile.stat().st_size < 400
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = read(hostile)
    assert done.returncode != 0
    assert done.returncode in (1, -6, -9, -11, *EXITS), done.stderr[-500:]
    assert "out of memory" in done.stderr.lower() or "alloc" in done.stderr.lower() or done.returncode < 0
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 50_000, "whoever asked is alive and no larger"


@pytest.mark.fault("R8")
def test_control_the_same_graph_of_a_thousand_numbers_is_read(tmp_path: Path) -> None:
    harmless = tmp_path / "harmless.onnx"
    harmless.write_bytes(bomb(1_000))
    assert read(harmless).returncode == 0


@pytest.mark.fault("R8")
def test_planted_a_child_whose_limit_is_as_good_as_none_takes_what_the_file_asks_for(tmp_path: Path) -> None:
    greedy = tmp_path / "greedy.onnx"
    greedy.write_bytes(bomb(600_000_000))
    assert read(greedy).returncode != 0, "2.4 GB and the libraries are more than 3 GB of addresses"
    assert read(greedy, memory_bytes=1 << 40).returncode == 0
