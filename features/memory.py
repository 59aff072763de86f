"""Reading and writing raw addresses inside kernels: Kafka's messages are used where librdkafka put them.

Every function takes the address as int64. Nothing is checked here: a caller passes only addresses inside a
buffer whose owner outlives the call.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as numba_intrinsic

from features.kernel import kernel

intrinsic: Callable[[Callable[..., Any]], Any] = numba_intrinsic
"""Its own type describes the function given, with the typing context; what comes back is called without it."""


def _load(bits: int, result: Any, signed: bool = True) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer)
            value.align = 1
            if result.bitwidth > bits:
                extend = builder.sext if signed else builder.zext
                value = extend(value, ir.IntType(result.bitwidth))
            return value

        return result(types.int64), codegen

    return load


def _store(bits: int) -> Any:
    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            narrowed = args[1] if bits == 64 else builder.trunc(args[1], ir.IntType(bits))
            instruction = builder.store(narrowed, pointer)
            instruction.align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return store


load_u8 = _load(8, types.int64, signed=False)
load_i32 = _load(32, types.int64)
load_u32 = _load(32, types.int64, signed=False)
load_i64 = _load(64, types.int64)
store_u8 = _store(8)
store_i32 = _store(32)
store_i64 = _store(64)


@kernel()
def copy_bytes(target: int, source: int, length: int) -> None:
    """Copy `length` bytes between two addresses that do not overlap."""
    at = 0
    while at + 8 <= length:
        store_i64(target + at, load_i64(source + at))
        at += 8
    while at < length:
        store_u8(target + at, load_u8(source + at))
        at += 1


@kernel()
def equal_bytes(left: int, right: int, length: int) -> bool:
    """Whether two runs of `length` bytes are the same."""
    at = 0
    while at < length and load_u8(left + at) == load_u8(right + at):
        at += 1
    return at == length


@intrinsic
def call_with_two(typing_context: Any, function: Any, first: Any, second: Any) -> Any:
    """Call the C function at an address with two pointer-sized arguments; returns int64.

    Taking the address as an argument keeps the kernel cacheable: no address is compiled into it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        pointer = builder.inttoptr(args[0], ir.FunctionType(word, [word, word]).as_pointer())
        return builder.call(pointer, [args[1], args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def call_with_five(
    typing_context: Any, function: Any, first: Any, second: Any, third: Any, fourth: Any, fifth: Any
) -> Any:
    """The same with five arguments. Of a C function that returns an int, the upper half of the answer is noise."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        pointer = builder.inttoptr(args[0], ir.FunctionType(word, [word] * 5).as_pointer())
        return builder.call(pointer, list(args[1:]))

    return types.int64(*[types.int64] * 6), codegen


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """How many of a uint64's lowest bits are 0; 64 of 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@kernel(inline=True)
def load_word(base: int, word: int) -> int:
    """The int64 at a word's index from an address. An address, unlike an array, costs nothing to hand on."""
    return int(load_i64(base + word * 8))


@kernel(inline=True)
def store_word(base: int, word: int, value: int) -> None:
    """Write the int64 at a word's index from an address."""
    store_i64(base + word * 8, value)


@intrinsic
def load_float(typing_context: Any, base: Any, word: Any) -> Any:
    """The float64 at a word's index from an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.add(args[0], builder.mul(args[1], ir.Constant(ir.IntType(64), 8)))
        value = builder.load(builder.inttoptr(address, ir.DoubleType().as_pointer()))
        value.align = 1
        return value

    return types.float64(types.int64, types.int64), codegen


@intrinsic
def load_f32(typing_context: Any, address: Any) -> Any:
    """The float32 at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(builder.inttoptr(args[0], ir.FloatType().as_pointer()))
        value.align = 1
        return value

    return types.float32(types.int64), codegen


@intrinsic
def prefetch(typing_context: Any, base: Any, word: Any) -> Any:
    """Ask for the cache line of a word's index from an address; never faults, may do nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer_type, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.add(args[0], builder.mul(args[1], ir.Constant(ir.IntType(64), 8)))
        function_type = ir.FunctionType(ir.VoidType(), [pointer_type, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer_type], function_type)
        hints = [ir.Constant(i32, hint) for hint in (1, 3, 1)]  # for writing, keep close, data
        builder.call(function, [builder.inttoptr(address, pointer_type), *hints])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen
