"""A JAX function as an ONNX graph, for programs that run no Python: what JAX traces, operation by operation.

The graph is made of the function itself, so there is no second description of a network that could differ. Only the
operations that our networks are made of are known; another one is said by its name. Needs `onnx` (requirements.txt).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import numpy as np
import onnx
from jax.core import ShapedArray
from jax.extend.core import Literal
from onnx import helper, numpy_helper

OPSET, IR = 17, 8  # of 2022: every runtime in use reads them
SMALL = 16  # numbers: below that, half precision saves nothing

# Operations that are one node, with JAX's name and ONNX's; both broadcast alike
SAME = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "neg": "Neg",
    "exp": "Exp",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "sqrt": "Sqrt",
    "logistic": "Sigmoid",
    "round": "Round",
    "gt": "Greater",
    "lt": "Less",
    "stop_gradient": "Identity",
    "copy": "Identity",
}


def graph(
    function: Callable[..., jax.Array], inputs: Mapping[str, jax.ShapeDtypeStruct], output: str
) -> onnx.ModelProto:
    """Return the function of named arrays as a model of static shapes.

    NHWC stays NHWC, and what the function closes over becomes the graph's constants.

    Constants that half precision holds exactly, as weights that were saved in it, are stored so and widened when
    the graph is loaded. What depends on constants alone is computed here.

    Raises: NotImplementedError, in one sentence, for an operation that is not known here.
    """

    def folded(*arrays: jax.Array) -> jax.Array:
        with jax.ensure_compile_time_eval():
            return function(*arrays)

    traced = jax.make_jaxpr(folded)(*inputs.values())
    build = _Graph()
    ends = build.run(traced.jaxpr, [build.constant(np.asarray(value)) for value in traced.consts], list(inputs))
    build.node("Identity", ends, output)
    end = traced.out_avals[0]
    model = helper.make_model(
        helper.make_graph(
            build.nodes,
            "graph",
            [helper.make_tensor_value_info(name, _dtype(of.dtype), of.shape) for name, of in inputs.items()],
            [helper.make_tensor_value_info(output, _dtype(end.dtype), end.shape)],
            build.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="ldm",
    )
    onnx.checker.check_model(model)
    return model


def _dtype(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


class _Graph:
    """Nodes and constants as they come; a value is known by its name."""

    def __init__(self):
        self.nodes, self.constants, self.known, self.count = [], [], {}, 0

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        output = output or self.name()
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        """Store a constant once, however often it is asked for."""
        key = value.dtype.str, value.shape, value.tobytes()
        if key not in self.known:
            half = value.astype(np.float16) if value.dtype == np.float32 and value.size >= SMALL else value
            exact = np.array_equal(half.astype(value.dtype), value)
            stored = self.name()
            self.constants.append(numpy_helper.from_array(half if exact else value, stored))
            widened = exact and half.dtype != value.dtype
            self.known[key] = self.node("Cast", [stored], to=_dtype(value.dtype)) if widened else stored
        return self.known[key]

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def run(self, jaxpr: Any, constants: Sequence[str], inputs: Sequence[str]) -> list[str]:
        """Go through the operations of a jaxpr, one after the other; returns the names of its results."""
        names = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs], strict=True))

        def read(v: Any) -> str:
            if isinstance(v, Literal):
                return self.constant(np.asarray(v.val, cast(ShapedArray, v.aval).dtype))
            return names[v]

        for eqn in jaxpr.eqns:
            arguments, kind = [read(v) for v in eqn.invars], eqn.primitive.name
            inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
            if inner is not None:  # a function that was compiled or differentiated by itself
                closed = getattr(inner, "jaxpr", inner)
                ends = self.run(closed, [self.constant(np.asarray(c)) for c in getattr(inner, "consts", ())], arguments)
            elif kind in SAME:
                ends = [self.node(SAME[kind], arguments)]
            elif hasattr(self, f"_{kind}"):
                ends = getattr(self, f"_{kind}")(eqn, *arguments)
                ends = [ends] if isinstance(ends, str) else ends
            else:
                raise NotImplementedError(
                    f"The operation {kind!r}: expected one that ldm/interop/onnx.py knows; write it there."
                )
            names.update(zip(eqn.outvars, ends, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def reshaped(self, x: str, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        return x if before == after else self.node("Reshape", [x, self.integers(*after)])

    def transposed(self, x: str, order: Sequence[int]) -> str:
        return x if list(order) == sorted(order) else self.node("Transpose", [x], perm=[int(i) for i in order])

    def _reshape(self, eqn: Any, x: str) -> str:
        return self.reshaped(x, eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape)

    _squeeze = _reshape

    def _transpose(self, eqn: Any, x: str) -> str:
        return self.transposed(x, eqn.params["permutation"])

    def _broadcast_in_dim(self, eqn: Any, x: str) -> str:
        before, after = eqn.invars[0].aval.shape, eqn.params["shape"]
        at = dict(zip(eqn.params["broadcast_dimensions"], before, strict=True))
        aligned = tuple(at.get(axis, 1) for axis in range(len(after)))
        x = self.reshaped(x, before, aligned)
        return x if aligned == tuple(after) else self.node("Expand", [x, self.integers(*after)])

    def _convert_element_type(self, eqn: Any, x: str) -> str:
        return self.node("Cast", [x], to=_dtype(eqn.params["new_dtype"]))

    def _square(self, eqn: Any, x: str) -> str:
        return self.node("Mul", [x, x])

    def _integer_pow(self, eqn: Any, x: str) -> str:
        return self.node("Pow", [x, self.constant(np.array(eqn.params["y"], np.float32))])

    def _rsqrt(self, eqn: Any, x: str) -> str:
        return self.node("Reciprocal", [self.node("Sqrt", [x])])

    def _erfc(self, eqn: Any, x: str) -> str:
        return self.node("Sub", [self.constant(np.array(1, np.float32)), self.node("Erf", [x])])

    def _ne(self, eqn: Any, x: str, y: str) -> str:
        return self.node("Not", [self.node("Equal", [x, y])])

    def _select_n(self, eqn: Any, which: str, if_false: str, if_true: str) -> str:
        return self.node("Where", [which, if_true, if_false])

    def _concatenate(self, eqn: Any, *parts: str) -> str:
        return self.node("Concat", parts, axis=eqn.params["dimension"])

    def _split(self, eqn: Any, x: str) -> list[str]:
        ends = [self.name() for _ in eqn.outvars]
        sizes = self.integers(*eqn.params["sizes"])
        self.nodes.append(helper.make_node("Split", [x, sizes], ends, axis=eqn.params["axis"]))
        return ends

    def _slice(self, eqn: Any, x: str) -> str:
        starts, ends = eqn.params["start_indices"], eqn.params["limit_indices"]
        steps, axes = eqn.params["strides"] or [1] * len(starts), range(len(starts))
        return self.node("Slice", [x, *(self.integers(*values) for values in (starts, ends, axes, steps))])

    def _pad(self, eqn: Any, x: str, value: str) -> str:
        low, high, between = zip(*eqn.params["padding_config"], strict=True)
        if any(between) or min(low + high) < 0:
            raise NotImplementedError("pad: expected no padding between elements, nor a negative one.")
        return self.node("Pad", [x, self.integers(*low, *high), value])

    def _reduce_sum(self, eqn: Any, x: str) -> str:
        return self.node("ReduceSum", [x, self.integers(*eqn.params["axes"])], keepdims=0)

    def _reduce_max(self, eqn: Any, x: str) -> str:
        return self.node("ReduceMax", [x], axes=list(eqn.params["axes"]), keepdims=0)

    def _gather(self, eqn: Any, table: str, rows: str) -> str:
        """Gather whole rows of a table, which is all that an embedding asks for."""
        matrix, index = (v.aval.shape for v in eqn.invars)
        rows_of = eqn.params["dimension_numbers"].start_index_map, tuple(eqn.params["slice_sizes"])
        if len(matrix) != 2 or rows_of != ((0,), (1, matrix[1])):
            raise NotImplementedError("gather: expected whole rows of a matrix.")
        return self.node("Gather", [table, self.reshaped(rows, index, index[:-1])])

    def _dot_general(self, eqn: Any, x: str, y: str) -> str:
        """Multiply as one product of (stacks of) matrices: (batch, free, summed) times (batch, summed, free)."""
        (summed_x, summed_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
        left, right = (v.aval.shape for v in eqn.invars)
        free_x = [i for i in range(len(left)) if i not in (*summed_x, *batch_x)]
        free_y = [i for i in range(len(right)) if i not in (*summed_y, *batch_y)]
        size = lambda shape, axes: int(np.prod([shape[i] for i in axes], dtype=int))
        stack = [left[i] for i in batch_x]
        k, m, n = size(left, summed_x), size(left, free_x), size(right, free_y)
        shuffled = lambda shape, order: tuple(shape[i] for i in order)
        order_x, order_y = (*batch_x, *free_x, *summed_x), (*batch_y, *summed_y, *free_y)
        x = self.reshaped(self.transposed(x, order_x), shuffled(left, order_x), (*stack, m, k))
        y = self.reshaped(self.transposed(y, order_y), shuffled(right, order_y), (*stack, k, n))
        return self.reshaped(self.node("MatMul", [x, y]), (*stack, m, n), eqn.outvars[0].aval.shape)

    def _conv_general_dilated(self, eqn: Any, x: str, kernel: str) -> str:
        """ONNX convolves NCHW with OIHW; the dimension numbers say how to get there, and back."""
        p = eqn.params
        if set((*p["lhs_dilation"], *p["rhs_dilation"], p["feature_group_count"], p["batch_group_count"])) != {1}:
            raise NotImplementedError("conv_general_dilated: expected neither dilation nor groups.")
        low, high = zip(*p["padding"], strict=True)
        at = p["dimension_numbers"]
        y = self.node(
            "Conv",
            [self.transposed(x, at.lhs_spec), self.transposed(kernel, at.rhs_spec)],
            strides=list(p["window_strides"]),
            pads=[*low, *high],
        )
        return self.transposed(y, np.argsort(at.out_spec).tolist())
