"""Loads and stores of named tuples of floats, by the names of their fields.

Numba compiles a named tuple to plain registers, so these functions cost nothing but the loads and stores. They emit
LLVM code (`emitting`) because numba cannot loop over the names of fields.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple

emitting: Any = intrinsic  # numba has no types for it
as_floats: Any = to_fixed_tuple
"""``as_floats(values, n)``: the first n numbers of an array as a tuple; n is a constant."""


def _place(context: Any, builder: Any, block: Any, pointer: Any, name: str, i: Any) -> Any:
    """Address of lane i in the column ``name`` of a block at ``pointer``."""
    column = cgutils.get_record_member(builder, pointer, block.offset(name), context.get_data_type(types.float64))
    return cgutils.gep_inbounds(builder, column, i)


def _record(names: Any) -> Any:
    """The numba type of a named tuple of floats."""
    return types.NamedUniTuple(types.float64, len(names._fields), names)


@emitting
def load(context: Any, names: Any, block: Any, i: Any) -> tuple[Any, Any]:
    """``load(Names, block, i)``: the named tuple with the values at lane i of the columns with its fields' names."""
    kind = names.instance_class

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, pointer, lane = arguments
        places = [_place(context, builder, block, pointer, name, lane) for name in kind._fields]
        return context.make_tuple(builder, signature.return_type, [builder.load(place) for place in places])

    return _record(kind)(names, block, i), generate


@emitting
def store(context: Any, block: Any, i: Any, values: Any) -> tuple[Any, Any]:
    """``store(block, i, values)``: writes a named tuple to the columns named like its fields, and skips the others."""
    fields = values.instance_class._fields

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, lane, value = arguments
        for k, name in enumerate(fields):
            if name in block.fields:
                place = _place(context, builder, block, pointer, name, lane)
                builder.store(builder.extract_value(value, k), place)
        return context.get_dummy_value()

    return types.void(block, i, values), generate


@emitting
def pick(context: Any, names: Any, sources: Any) -> tuple[Any, Any]:
    """``pick(Names, (a, b, ...))``: the named tuple with each field from the first of the tuples that has it."""
    kind = names.instance_class
    found = []
    for name in kind._fields:
        k = next(k for k, source in enumerate(sources.types) if name in source.instance_class._fields)
        found.append((k, sources.types[k].instance_class._fields.index(name)))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [builder.extract_value(arguments[1], place) for place in found]
        return context.make_tuple(builder, signature.return_type, values)

    return _record(kind)(names, sources), generate


@emitting
def wide_registers(context: Any) -> tuple[Any, Any]:
    """Lets LLVM use registers of 512 bits, if the processor has them, in the calling function.

    Its default is 256 bits, since older processors slowed down. The attribute is unknown to llvmlite but not to LLVM.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(builder.function.attributes, set):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate
