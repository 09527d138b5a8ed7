"""Processes that work for this one: what they import, how they end, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from hpbench.errors import HpbenchError, UsageError
from hpbench.inference.worker_processes import WorkerPool


def test_results_come_back_to_whoever_asked():
    with WorkerPool("powers", 2, partial, pow, 2) as pool:
        futures = [pool.submit(k) for k in range(20)]
        assert [future.result() for future in futures] == [2**k for k in range(20)]


def test_arrays_of_all_sizes_come_back_equal_and_can_be_changed():
    source = "[__import__('numpy').arange(n, dtype='f4') for n in (0, 3, 70_000, 5, 9_000)]"
    with WorkerPool("arrays", 1, partial, eval) as pool:
        first, second = (pool.submit(source).result() for _ in range(2))
    for size, one, other in zip((0, 3, 70_000, 5, 9_000), first, second, strict=True):
        assert one.tolist() == list(range(size))
        one += 1  # memory of its own, which the next result does not share
        assert other.tolist() == list(range(size))


def test_workers_are_other_processes_and_end_with_the_pool():
    with WorkerPool("pids", 2, partial, os.getpid) as pool:
        pids = {pool.submit().result() for _ in range(8)}
    assert os.getpid() not in pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_pool_that_is_left_while_a_worker_starts_is_over_at_once(monkeypatch):
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: time.sleep(0.3) or real(*a, **k))
    begun = time.monotonic()
    with WorkerPool("sleepers", 1, partial, time.sleep) as pool:
        pool.submit(20)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("import os; os._exit(9)", r"of 'some' exited with status 9; run with --workers 1"),
        ("import signal; signal.raise_signal(11)", r"was killed by SIGSEGV; run with"),
        ("import signal; signal.raise_signal(9)", r"was killed by SIGKILL; run with"),
        (
            "import os; print('first'); os.write(2, b'no such model\\n'); os._exit(1)",
            r"exited with status 1 \(no such model\); run with",
        ),
    ],
)
def test_end_of_a_worker_is_told_as_it_was(program, ended):
    with WorkerPool("some", 1, partial, exec) as pool, pytest.raises(HpbenchError, match=ended):
        pool.submit(program).result()


def test_what_a_plugin_prints_does_not_get_between_the_results():
    with WorkerPool("some", 1, partial, eval) as pool:
        assert pool.submit("print('hello') or __import__('os').write(1, b'x') + 4").result() == 5


def test_exception_of_a_plugin_names_its_class():
    with (
        WorkerPool("some", 1, partial, eval) as pool,
        pytest.raises(HpbenchError, match="ZeroDivisionError: division by zero"),
    ):
        pool.submit("1 / 0").result()


def test_worker_searches_neither_the_current_folder_nor_what_a_thread_put_on_the_path(
    tmp_path, monkeypatch
):
    # as OpenCV does while it is imported: its folder holds a package called typing
    trap = "raise SystemExit('the wrong module')"
    (tmp_path / "typing.py").write_text(trap)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with WorkerPool("powers", 1, partial, pow, 2) as pool:
        assert pool.submit(3).result() == 8


def test_worker_ends_when_its_parent_is_killed(tmp_path):
    program = (
        "import os, signal\n"
        "from functools import partial\n"
        "from hpbench.inference.worker_processes import WorkerPool\n"
        "with WorkerPool('pids', 1, partial, os.getpid) as pool:\n"
        "    print(pool.submit().result(), flush=True)\n"
        "    signal.raise_signal(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(int(done.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


def test_long_names_of_methods_are_no_problem():
    with WorkerPool("hopenet[weights=" + "x" * 400 + "]", 1, partial, pow, 2) as pool:
        assert pool.submit(3).result() == 8


def test_what_an_interpreter_prints_when_it_starts_does_not_get_between_the_results(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('welcome to this machine')")
    with WorkerPool("some", 1, partial, eval, environment={"PYTHONPATH": str(tmp_path)}) as pool:
        assert pool.submit("1 + 2").result(timeout=60) == 3


def test_modules_that_lie_beside_a_script_can_be_imported_by_its_plugins(tmp_path, monkeypatch):
    (tmp_path / "beside_the_script.py").write_text("ANSWER = 42")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # as of an interactive session
    with WorkerPool("some", 1, partial, eval) as pool:
        assert pool.submit("__import__('beside_the_script').ANSWER").result() == 42


def test_own_error_of_a_plugin_comes_back_as_the_kind_that_it_extends():
    program = """if True:
        from hpbench.errors import UsageError
        class Missing(UsageError):
            def __init__(self, what, fix):
                super().__init__(f"{what} is missing; {fix}")
        raise Missing("the model", "fetch it")
    """
    with (
        WorkerPool("some", 1, partial, exec) as pool,
        pytest.raises(UsageError, match="the model is missing; fetch it"),
    ):
        pool.submit(program, {}).result()


def test_worker_that_leaves_a_process_behind_does_not_hold_up_the_others():
    program = "import os; os.system('sleep 30 &'); os._exit(3)"
    begun = time.monotonic()
    with (
        WorkerPool("some", 1, partial, exec) as pool,
        pytest.raises(HpbenchError, match="exited with status 3"),
    ):
        pool.submit(program).result()
    assert time.monotonic() - begun < 20
