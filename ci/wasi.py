"""Runs a program of WASI by the `wasmtime` of PyPI: a module of preview 1, or a component of
preview 2, which also has the network. The program gets this environment, and a temporary directory
as /tmp."""

import sys
import tempfile

from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig
from wasmtime import _bindings, component

path = sys.argv[1]
with open(path, "rb") as file, tempfile.TemporaryDirectory() as directory:
    program = file.read()
    config = WasiConfig()
    config.argv = sys.argv[1:]
    config.inherit_env()
    config.inherit_stdin()
    config.inherit_stdout()
    config.inherit_stderr()
    config.preopen_dir(directory, "/tmp")
    _bindings.wasi_config_inherit_network(config.ptr())  # the wheel has no method for it
    engine = Engine()
    store = Store(engine)
    store.set_wasi(config)
    try:
        if program[4:8] == b"\x01\0\0\0":
            linker = Linker(engine)
            linker.define_wasi()
            instance = linker.instantiate(store, Module(engine, program))
            instance.exports(store)["_start"](store)
        else:
            linker = component.Linker(engine)
            linker.add_wasip2()
            program = component.Component(engine, program)
            instance = linker.instantiate(store, program)
            name = next(name for name in program.type.exports(engine) if "wasi:cli/run" in name)
            run = program.get_export_index("run", program.get_export_index(name))
            instance.get_func(store, run)(store)
    except ExitTrap as trap:
        sys.exit(trap.code)
