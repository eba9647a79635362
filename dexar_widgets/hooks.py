"""Listening to a model and leaving it as it was found.

The only file that registers hooks or attention functions. Everything is a context manager that
undoes what it did, whatever happens inside, and listens only in the thread that opened it: other
threads may run the same model meanwhile and get what they would have got.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

__all__ = ["attention_calls", "before_layers", "block_tails", "inputs", "inspecting", "outputs"]


@contextmanager
def inspecting(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, also in a caller's ``inference_mode``; then each module's own mode again."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        # Leaving inference mode switches gradients on, so they are switched off after it.
        with torch.inference_mode(False), torch.no_grad():  # noqa: FBT003 (torch takes it by position)
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def before_layers(model: nn.Module, call: Callable[[], None]) -> Iterator[None]:
    """Call before each layer of a model, its towers and encoders included; what it raises ends the pass there."""
    thread = threading.get_ident()
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]

    def hook(*_: Any) -> None:
        if threading.get_ident() == thread:
            call()

    with ExitStack() as stack:
        for layer in {layer for layers in lists for layer in layers}:
            stack.callback(layer.register_forward_pre_hook(hook).remove)
        yield


@contextmanager
def outputs(modules: Sequence[nn.Module], listen: Callable[[int, Any], Any]) -> Iterator[None]:
    """Call ``listen(index, output)`` after each module; what it returns, unless None, replaces the output."""
    thread = threading.get_ident()

    def hook(index: int, _module: nn.Module, _args: Any, output: Any) -> Any:
        return listen(index, output) if threading.get_ident() == thread else None

    with ExitStack() as stack:
        for index, module in enumerate(modules):
            stack.callback(module.register_forward_hook(partial(hook, index)).remove)
        yield


@contextmanager
def inputs(
    modules: Sequence[nn.Module], listen: Callable[[int, tuple[Any, ...], dict[str, Any]], Any]
) -> Iterator[None]:
    """Call ``listen(index, args, options)`` before each module; what it returns, unless None, replaces ``args[0]``."""
    thread = threading.get_ident()

    def hook(index: int, _module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        first = listen(index, args, options) if threading.get_ident() == thread else None
        return None if first is None else ((first, *args[1:]), options)

    with ExitStack() as stack:
        for index, module in enumerate(modules):
            stack.callback(module.register_forward_pre_hook(partial(hook, index), with_kwargs=True).remove)
        yield


@contextmanager
def block_tails(
    projections: Sequence[nn.Module], blocks: Sequence[nn.Module], differentiate: Callable[[int, Tensor, Tensor], None]
) -> Iterator[None]:
    """Record each block from the input of its attention output projection to its end, and nothing else.

    ``differentiate(layer, leaf, hidden)`` gets the recorded stretch: ``leaf`` stands in for the projection's
    input, ``hidden`` is the block's output. Afterwards the stretch is forgotten and the pass goes on without it.
    """
    thread = threading.get_ident()
    leaves: dict[int, Tensor] = {}

    def begin(layer: int, _module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if threading.get_ident() != thread:
            return None
        leaves[layer] = args[0].detach().requires_grad_()
        torch.set_grad_enabled(True)
        return leaves[layer], *args[1:]

    def end(layer: int, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        differentiate(layer, leaves.pop(layer), hidden)
        torch.set_grad_enabled(False)
        return (hidden.detach(), *output[1:]) if isinstance(output, tuple) else hidden.detach()

    with ExitStack() as stack:
        for layer, module in enumerate(projections):
            stack.callback(module.register_forward_pre_hook(partial(begin, layer)).remove)
        with outputs(blocks, end):
            yield


Listener = Callable[[int, Tensor, Tensor, Tensor, Mapping[str, Any]], None]
_listening = threading.local()  # .to: {id of an attention module: call its listener}


@contextmanager
def attention_calls(attentions: Sequence[nn.Module], listen: Listener) -> Iterator[None]:
    """Call ``listen(index, query, key, value, options)`` whenever a module calls its attention function.

    The function found is called as before, through one that delegates to it and is registered with the same mask
    function. It is set on each module's own configuration, not with ``set_attn_implementation``, which gives back
    (sdpa, sdpa, sdpa) for a model whose parts were (sdpa, eager, sdpa).
    """
    configs: list[Any] = list({id(module.config): module.config for module in attentions}.values())
    found = [(config, config._attn_implementation) for config in configs]
    if any("flash" in (name or "") for _, name in found):
        raise ValueError(
            "Attention rows need the queries, and flash attention does not let a function delegate to it; load the "
            'model with attn_implementation="sdpa", or leave attention rows out. The gradients need no such thing.'
        )
    try:
        _listening.to = {id(module): partial(listen, layer) for layer, module in enumerate(attentions)}
        for config, name in found:
            _set_implementation(config, _delegate(name or "eager"))
        yield
    finally:
        _listening.to = {}
        for config, name in found:
            _set_implementation(config, name)


def _set_implementation(config: Any, name: str | None) -> None:
    config._attn_implementation = {"": name}  # the mapping form leaves sub-configurations alone


@cache
def _delegate(found: str) -> str:
    """The name of an attention function that tells the listener and calls the one named ``found``.

    It stays registered: another thread may be about to call it.
    """

    def attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
        listen = getattr(_listening, "to", {}).get(id(module))
        if listen is not None:
            listen(query, key, value, options)
        source = sys.modules[type(module).__module__]  # where the model would have looked it up
        function = source.ALL_ATTENTION_FUNCTIONS.get_interface(found, source.eager_attention_forward)
        return function(module, query, key, value, *args, **options)

    name = f"{found}, listened to"
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, AttentionMaskInterface()[found])
    return name
