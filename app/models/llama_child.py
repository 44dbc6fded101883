"""The process that holds the weights: `python -m app.models.llama_child`, started by `local_server.py` and by nobody else.

One JSON line on stdin says what to serve (the key comes this way so that no process list shows it); one JSON line on stdout says
where, or why not. After that stdin stays open for as long as the parent lives: its end is the order to end. llama.cpp holds
Python's lock while it loads, so an order that comes then is obeyed when the loading ends.
"""

import json
import os
import sys
import threading
from typing import IO, Any

import xllamacpp


def main() -> None:
    orders, answers = sys.stdin, _only_for_us()
    asked = json.loads(orders.readline())
    threading.Thread(target=_end_with_parent, args=(orders,), daemon=True).start()
    try:
        server = xllamacpp.Server(_parameters(asked))
    except Exception as error:
        _answer(answers, {"failed": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    _answer(answers, {"address": server.listening_address})
    threading.Event().wait()


def _only_for_us() -> IO[str]:
    """The real stdout. What the engine prints goes to the log instead."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def _answer(answers: IO[str], said: dict[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def _end_with_parent(orders: IO[str]) -> None:
    orders.read()
    os._exit(0)


def _parameters(asked: dict[str, Any]) -> Any:
    wanted = xllamacpp.CommonParams()
    wanted.model.path = asked["path"]
    wanted.model_alias = {asked["model"]}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = asked["port"]
    wanted.api_keys = [asked["api_key"]]
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = asked["threads"]
    wanted.n_parallel = asked["slots"]
    wanted.n_ctx = asked["slots"] * asked["context_tokens"]
    wanted.cache_ram_mib = asked["prompt_cache_mib"]
    wanted.offline = True
    # A bare endpoint: no page, and no view of what others asked. Below warnings the log would hold prompts.
    wanted.ui = wanted.endpoint_slots = wanted.endpoint_props = False
    wanted.verbosity = 2
    return wanted


if __name__ == "__main__":
    main()
