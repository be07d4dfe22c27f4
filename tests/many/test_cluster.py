"""The same rows from Dask workers, also where these die; and what is told where there is no cluster."""

import os
import random
import signal
import socket
import sys
import threading
import time

import numpy as np
import pytest

import minivit
from minivit.commands.cli import main
from minivit.many import cluster
from minivit.many.embedding import embed_to
from minivit.many.rows import Wanted
from tests.many.pictures import make

if sys.platform in ("emscripten", "wasi"):
    pytest.skip("no processes there", allow_module_level=True)


@pytest.fixture(scope="module")
def client():
    import distributed
    local = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True)
    client = distributed.Client(local)
    yield client
    cluster.disconnect(client)


def test_a_cluster_changes_nothing(client, tmp_path, monkeypatch):
    make(tmp_path / "in", 50, bad=(7,))
    embed_to(tmp_path / "a.csv", tmp_path / "in", minivit.load(), Wanted(), batch_size=4)
    submit, sent = client.submit, []
    monkeypatch.setattr(client, "submit", lambda f, batch, *a, **k: sent.extend(batch) or submit(f, batch, *a, **k))
    for send in (False, True):
        sent.clear()
        embed_to(tmp_path / f"{send}.csv", tmp_path / "in", minivit.load(), Wanted(), batch_size=4, cluster=client,
                 send_files=send)
        assert (tmp_path / f"{send}.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()
        assert {place.content is not None for place in sent} == {send}
    for ours, theirs in zip(minivit.embed(tmp_path / "in", cluster=client), minivit.embed(tmp_path / "in")):
        assert ours.top == theirs.top and np.array_equal(ours.representation, theirs.representation)


def test_the_weights_travel_once_to_each_worker(client, tmp_path, monkeypatch):
    """Counted where they are packed for the wire: by the model's own pickling."""
    make(tmp_path / "in", 64)
    packed, model = [], minivit.load()
    monkeypatch.setattr(minivit.VisionTransformer, "__getstate__", lambda self: packed.append(1) or self.__dict__,
                        raising=False)
    assert len(list(minivit.embed(tmp_path / "in", model, batch_size=4, cluster=client))) == 64
    assert len(packed) <= 2                              # once for the scheduler; it hands the bytes on


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's limit")
def test_workers_keep_freed_memory(client, tmp_path):
    """Dask has them give it back at once; a small network then takes twice as long."""
    def told():
        from minivit.engine import heap
        return heap.limit.cache_info().currsize, heap.limit()

    make(tmp_path / "in", 1)
    list(minivit.embed(tmp_path / "in", cluster=client))
    assert set(client.run(told).values()) == {(1, True)}


def test_few_batches_are_on_their_way(client, tmp_path):
    read = []
    make(tmp_path / "in", 1)

    def endless():
        while True:
            read.append(1)
            yield tmp_path / "in" / "00000.png"

    rows = minivit.embed(endless(), batch_size=2, cluster=client)
    for count in range(60):
        next(rows)
        assert len(read) <= count + 1 + 2 * 2 * (cluster.WAITING + 1)
    rows.close()


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_workers_that_die_cost_no_row_and_double_none(tmp_path):
    import distributed
    make(tmp_path / "in", 240, bad=(11, 100))
    embed_to(tmp_path / "a.csv", tmp_path / "in", minivit.load(), Wanted(), batch_size=4)
    local = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True)
    client = distributed.Client(local)
    killed, begun, ended, rng = [], threading.Event(), threading.Event(), random.Random(0)

    def kill():
        begun.wait()                                     # until the workers have the model, however long that takes
        while not ended.wait(rng.uniform(0.5, 1.5)) and len(killed) < 6:
            pids = [worker.pid for worker in local.workers.values() if getattr(worker, "pid", None)]
            if pids:
                try:
                    os.kill(victim := rng.choice(pids), signal.SIGKILL)
                    killed.append(victim)
                except ProcessLookupError:
                    pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        def slow(count):                                 # so that several die before the end
            begun.set()
            time.sleep(0.1)

        assert embed_to(tmp_path / "b.csv", tmp_path / "in", minivit.load(), Wanted(), batch_size=4, cluster=client,
                        advance=slow) == (240, 2)
    finally:
        ended.set()
        begun.set()
        killer.join()
        cluster.disconnect(client)
    assert len(killed) >= 2
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


@pytest.mark.parametrize("deaths", [1, cluster.TRIES])
def test_a_worker_that_dies_while_the_model_is_sent(client, tmp_path, monkeypatch, deaths):
    from distributed.comm import CommClosedError
    make(tmp_path / "in", 4)
    register, died = client.register_plugin, []

    def dying(plugin, name):
        if len(died) < deaths:
            died.append(name)
            raise CommClosedError("in <TCP>: Stream is closed")
        return register(plugin, name=name)

    def leaving(name, unregister=client.unregister_worker_plugin):
        unregister(name)
        raise CommClosedError("in <TCP>: Stream is closed")

    monkeypatch.setattr(client, "register_plugin", dying)
    monkeypatch.setattr(client, "unregister_worker_plugin", leaving)
    if deaths < cluster.TRIES:
        assert len(list(minivit.embed(tmp_path / "in", cluster=client))) == 4
        return
    with pytest.raises(RuntimeError, match="the workers die while the model is sent to them"):
        list(minivit.embed(tmp_path / "in", cluster=client))


def test_files_that_workers_do_not_see_are_told(client, tmp_path, monkeypatch):
    make(tmp_path / "in", 1)
    monkeypatch.setattr(client, "run", lambda function, place: {"tcp://10.0.0.2:4711": False})
    with pytest.raises(RuntimeError, match=r"is here, but the worker at tcp://10.0.0.2:4711 cannot read it: .*--send"):
        list(minivit.embed(tmp_path / "in", cluster=client))


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, monkeypatch, capsys):
    make(tmp_path / "in", 1)
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:              # it listens, and says nothing
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for one in (address, "tcp://127.0.0.1:1", "nonsense://x"):
            assert main(["embed", str(tmp_path / "in"), "-o", str(tmp_path / "a.csv"), "--cluster", one]) == 2
            error = capsys.readouterr().err
            assert f"no scheduler answers at {one}" in error and error.count("\n") == 1, error
    assert not (tmp_path / "a.csv").exists()


def test_without_dask_the_line_to_install_it_is_named(tmp_path, monkeypatch, capsys):
    make(tmp_path / "in", 1)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["embed", str(tmp_path / "in"), "-o", str(tmp_path / "a.csv"), "--cluster", "local"]) == 2
    assert "pip install 'minivit[cluster]'" in capsys.readouterr().err
