"""Pure: whether a runtime can walk a parsed graph: known operators, complete tensors, names in order, functions that end.

`outline` has bounded how deep the file nests, so recursion over its graphs is safe here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from fabric.catalog.operators import ALLOWED, DOMAINS, RESERVED, is_allowed, is_control_flow, name_of, versions_of
from fabric.catalog.outline import NODES_MAX
from fabric.catalog.places import GRAPH, Place, refusal, shown
from fabric.catalog.tensors import check_sparse, check_tensor

FUNCTIONS_MAX = 5_000
CALLS_DEEP_MAX = 32  # functions that call functions
LISTED_MAX = 10
FunctionKey = tuple[str, str, str]  # domain, name, overload
Functions = dict[FunctionKey, Any]


def function_key(function_or_call: Any) -> FunctionKey:
    """What names a function: the same for its definition and for a node that calls it."""
    name = getattr(function_or_call, "op_type", None)
    return (function_or_call.domain, function_or_call.name if name is None else name, function_or_call.overload)


def functions_of(model: Any) -> Functions:
    """The functions that the file defines.

    Raises:
        InvalidModel: there are too many, one is defined twice, or one takes the place of an operator.
    """
    if len(model.functions) > FUNCTIONS_MAX:
        raise refusal("too_many_nodes", f"the model defines {len(model.functions)} functions; at most {FUNCTIONS_MAX}")
    functions: Functions = {}
    for function in model.functions:
        key = function_key(function)
        label = f"{shown(function.domain)}::{shown(function.name)}"
        if function.domain in DOMAINS or function.domain.startswith(RESERVED):
            raise refusal("custom_operator", f"function {label} stands in a domain whose operators are a runtime's own")
        if key in functions:
            raise refusal("duplicate_name", f"function {label} is defined twice")
        functions[key] = function
    return functions


def nodes_with_places(model: Any) -> Iterator[tuple[Place, Any, dict[str, int]]]:
    """Every node of the file with its place and the versions of the domains there: graphs inside graphs, functions too."""
    versions = versions_of(model.opset_import)
    yield from _nodes_within(model.graph, GRAPH, versions)
    for function in model.functions:
        path = f"function {shown(function.domain)}::{shown(function.name)}"
        yield from _nodes_within(function, path, versions | versions_of(function.opset_import))


def _nodes_within(graph: Any, path: str, versions: dict[str, int]) -> Iterator[tuple[Place, Any, dict[str, int]]]:
    for index, node in enumerate(graph.node):
        place = Place.of(path, index, node)
        yield place, node, versions
        for name, inner in graphs_in(node):
            yield from _nodes_within(inner, place.inside(name), versions)


def graphs_in(node: Any) -> Iterator[tuple[str, Any]]:
    """The graphs that a node holds, by attribute."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for graph in attribute.graphs:
            yield attribute.name, graph


def find_place(model: Any, name: str, op_type: str) -> Place | None:
    """The node that a library names in its error; None when there is no such node, or more than one."""
    found = [place for place, node, _ in nodes_with_places(model) if node.op_type == op_type and node.name == name]
    return found[0] if len(found) == 1 else None


def check_operators(model: Any, functions: Functions, *, control_flow: bool) -> Counter[str]:
    """Check every node against the allow-list; gives how often each operator occurs.

    Raises:
        InvalidModel: with `reason` custom_operator or control_flow and the first such node.
    """
    counts: Counter[str] = Counter()
    unknown: dict[str, Place] = {}
    first_branch: Place | None = None
    for place, node, versions in nodes_with_places(model):
        counts[name_of(node)] += 1
        if function_key(node) in functions:
            continue
        if not is_allowed(node.op_type, node.domain, versions.get(DOMAINS.get(node.domain, ""))):
            unknown.setdefault(shown(name_of(node)), place)
        elif first_branch is None and is_control_flow(node.op_type, node.domain):
            first_branch = place
    if unknown:
        listed = ", ".join(sorted(unknown)[:LISTED_MAX])
        why = f"only operators of the ONNX standard that are on Fabric's list run here; this model uses {listed}"
        raise refusal("custom_operator", why, next(iter(unknown.values())))
    if first_branch is not None and not control_flow:
        why = (
            "control flow (If, Loop, Scan, SequenceMap) is not enabled on this fabric: how long it runs cannot be told beforehand"
        )
        raise refusal("control_flow", why, first_branch)
    return counts


def check_tensors(model: Any) -> int:
    """Check every tensor of the file, wherever it hides; gives the bytes of sparse ones once they are spread out.

    Raises:
        InvalidModel: as `tensors` says.
    """
    spread = _check_constants(model.graph, None)
    for place, node, _ in nodes_with_places(model):
        for attribute in node.attribute:
            for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else ())):
                check_tensor(tensor, place)
            for sparse in (
                *attribute.sparse_tensors,
                *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ()),
            ):
                spread += check_sparse(sparse, place)
        spread += sum(_check_constants(graph, place) for _, graph in graphs_in(node))
    return spread


def _check_constants(graph: Any, place: Place | None) -> int:
    for tensor in graph.initializer:
        check_tensor(tensor, place)
    return sum(check_sparse(sparse, place) for sparse in graph.sparse_initializer)


def check_names(model: Any) -> None:
    """Check that every value is made once and before it is used.

    Raises:
        InvalidModel: with `reason` duplicate_name, cycle or malformed.
    """
    _check_scope(model.graph, GRAPH, _given(model.graph), ())
    for function in model.functions:
        path = f"function {shown(function.domain)}::{shown(function.name)}"
        _check_scope(function, path, _once(function.input, path), ())


def _given(graph: Any) -> set[str]:
    """Names that a graph has before its first node: inputs and constants. An input may have a constant as its default."""
    inputs = _once((value.name for value in graph.input), "the graph")
    constants = _once((*(t.name for t in graph.initializer), *(s.values.name for s in graph.sparse_initializer)), "the graph")
    return inputs | constants


def _once(names: Iterable[str], path: str) -> set[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise refusal("duplicate_name", f"{path} is given {shown(name)!r} twice")
        seen.add(name)
    return seen


def _check_scope(graph: Any, path: str, known: set[str], outer: tuple[set[str], ...]) -> None:
    scopes = (known, *outer)
    for index, node in enumerate(graph.node):
        missing = [name for name in node.input if name and not any(name in scope for scope in scopes)]
        if missing:
            raise _missing(graph, path, index, missing[0])
        for name, inner in graphs_in(node):
            inside = Place.of(path, index, node).inside(name)
            _check_scope(inner, inside, _given(inner), scopes)
        for name in node.output:
            if name and name in known:
                raise refusal("duplicate_name", f"makes {shown(name)!r}, which exists already", Place.of(path, index, node))
            known.add(name)
    for output in graph.output:
        name = output if isinstance(output, str) else output.name
        if not any(name in scope for scope in scopes):
            raise refusal("malformed", f"nothing in {path} makes its output {shown(name)!r}")


def _missing(graph: Any, path: str, index: int, name: str) -> Exception:
    """Why a value is not there: nobody makes it, or somebody does later; and then whether the two wait for each other."""
    place = Place.of(path, index, graph.node[index])
    makers = {output: number for number, node in enumerate(graph.node) for output in node.output if output}
    if name not in makers:
        return refusal("malformed", f"takes {shown(name)!r}, which nothing makes", place)
    later = Place.of(path, makers[name], graph.node[makers[name]])
    waiting, seen = [makers[name]], set()
    while waiting:
        number = waiting.pop()
        if number == index:
            return refusal(
                "cycle", f"the graph runs in a circle: this node takes {shown(name)!r} from {later}, which needs this one", place
            )
        if number not in seen:
            seen.add(number)
            waiting += [makers[needed] for needed in graph.node[number].input if needed in makers]
    return refusal("malformed", f"takes {shown(name)!r}, which {later} makes only later; nodes must be in order", place)


def check_functions(model: Any, functions: Functions) -> None:
    """Check that functions end, and that the graph stays small once every call is replaced by what it calls.

    Raises:
        InvalidModel: with `reason` recursive_function, too_deep or too_many_nodes.
    """
    sizes: dict[FunctionKey, int] = {}
    for key in functions:
        _expand(key, functions, sizes, [])
    total = 0
    for place, node in _own_nodes(model.graph, GRAPH):
        total += sizes.get(function_key(node), 1)
        if total > NODES_MAX:
            raise refusal("too_many_nodes", f"with its functions spelled out the model has more than {NODES_MAX} nodes", place)


def _expand(key: FunctionKey, functions: Functions, sizes: dict[FunctionKey, int], calling: list[FunctionKey]) -> int:
    """How many nodes a call of this function comes to."""
    if key in sizes:
        return sizes[key]
    label = "::".join(map(shown, key[:2]))
    if key in calling:
        chain = " calls ".join("::".join(map(shown, called[:2])) for called in [*calling[calling.index(key) :], key])
        raise refusal("recursive_function", f"function {label} calls itself: {chain}")
    if len(calling) >= CALLS_DEEP_MAX:
        raise refusal("too_deep", f"functions call each other more than {CALLS_DEEP_MAX} deep, at {label}")
    size = 0
    for _, node in _own_nodes(functions[key], label):
        called = function_key(node)
        size += _expand(called, functions, sizes, [*calling, key]) if called in functions else 1
    sizes[key] = size
    return size


def _own_nodes(graph: Any, path: str) -> Iterator[tuple[Place, Any]]:
    for place, node, _ in _nodes_within(graph, path, {}):
        yield place, node


assert CALLS_DEEP_MAX < 200  # the recursion above stays far from Python's own limit
assert set(ALLOWED) <= set(DOMAINS.values())
