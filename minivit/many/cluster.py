"""All batches on a cluster of Dask workers (https://distributed.dask.org): the same rows, computed elsewhere.

The model goes to each worker once, as a plug-in of it, and to those that come later too. Batches go as paths, which the
workers read, or with their files' bytes. A few for each thread are on their way at a time, so that neither the
scheduler nor this process holds more, and a batch whose worker died is given to another: rows come from finished
batches alone, each once.
"""

import asyncio
import uuid
from collections import deque
from itertools import chain, islice

from ..engine import heap
from ..errors import ImageError, plain
from .rows import rows_of

WAITING = 3                                              # batches on their way for each thread of the cluster
TRIES = 5                                                # times that a batch is given out; each may take 3 workers
PATIENCE = 30                                            # seconds for a scheduler to answer, or a first worker to come


def connect(address):
    """A Client of the scheduler at tcp://HOST:PORT, or of workers on this machine for "local", one a core.

    Raises RuntimeError where Dask is not installed, or where no scheduler or worker answers in time.
    """
    distributed = needs_distributed()
    if address == "local":
        from ..engine.blas_threads import thread_count
        local = distributed.LocalCluster(n_workers=thread_count(), threads_per_worker=1, dashboard_address=None,
                                         processes=True)
        return distributed.Client(local)
    try:
        asyncio.run(_answers(distributed, address))
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, ValueError, asyncio.TimeoutError) as error:         # which is an OSError from Python 3.11 on
        detail = " ".join(str(error).split()) or f"nothing is heard within {PATIENCE} s"
        raise RuntimeError(f"no scheduler answers at {address}: expected tcp://HOST:PORT as `dask scheduler` prints it "
                           f"({plain(detail)})") from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except asyncio.TimeoutError:
        client.close()
        raise RuntimeError(f"the scheduler at {address} has no workers: start some, "
                           f"dask worker {address} on each machine") from None
    return client


async def _answers(distributed, address):
    """Raises OSError or ValueError unless a scheduler answers: of one that says nothing a Client waits for ever."""
    comm = await asyncio.wait_for(distributed.core.connect(address, timeout=PATIENCE), PATIENCE)
    await comm.close()


def disconnect(client):
    """Leave the cluster, and end it where `connect` began it."""
    cluster = client.cluster
    client.close()
    if cluster is not None:
        cluster.close()


def needs_distributed():
    """dask.distributed. Raises RuntimeError that says how to install it."""
    try:
        import distributed
    except ImportError:
        raise RuntimeError("a cluster needs dask.distributed, which is not installed: "
                           "pip install 'minivit[cluster]'") from None
    return distributed


def work(batches, model, wanted, client, send_files=False):
    """Yields the rows of each batch, a list of Row, in the batches' order. client: a dask.distributed Client.

    send_files: the images' bytes travel from here; else each worker reads them by the same paths. Raises RuntimeError
    where a worker does not see them, or lacks minivit.
    """
    distributed = needs_distributed()
    name = f"minivit-{uuid.uuid4().hex}"
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return
    running = deque()                                                    # (future, batch), as its rows are wanted
    try:
        _send(client, _model_plugin(distributed, name, model.to("cpu")), name)
        if not send_files:
            _check_seen(client, first[0])
        batches = chain([first], batches)
        while True:
            room = WAITING * max(1, sum(client.nthreads().values())) - len(running)
            for batch in islice(batches, max(0, room)):
                batch = [_with_content(place) for place in batch] if send_files else batch
                running.append((client.submit(_rows_there, batch, name, wanted, pure=False), batch))
            if not running:
                return
            future, batch = running.popleft()
            yield _finished(client, future, batch, name, wanted)
    finally:
        client.cancel([future for future, _ in running])
        _forget(client, name)


def _send(client, plugin, name):
    """Register the plug-in. A worker that dies while it is sent ends the call, not those that live: it is sent anew."""
    from distributed.comm import CommClosedError
    for left in reversed(range(TRIES)):
        try:
            client.register_plugin(plugin, name=name)
            return
        except CommClosedError:
            if not left:
                raise RuntimeError("the workers die while the model is sent to them: it may be too large for their "
                                   "memory") from None


def _forget(client, name):
    """Take the model from the workers again. One that dies meanwhile takes it along; none may ever have had it."""
    from distributed.comm import CommClosedError
    try:
        client.unregister_worker_plugin(name)
    except (CommClosedError, ValueError):
        pass


def _finished(client, future, batch, name, wanted):
    """A batch's rows. Where several of its workers died, they may have died of something else: it is tried again."""
    from distributed.scheduler import KilledWorker
    for _ in range(TRIES):
        try:
            return future.result()
        except KilledWorker:
            future = client.submit(_rows_there, batch, name, wanted, pure=False)
    raise RuntimeError(f"the workers die over the images from {plain(batch[0].name)} on: they may be too large for the "
                       "workers' memory")


def _model_plugin(distributed, name, model):
    class Model(distributed.WorkerPlugin):
        """Keeps the model on each worker: Dask sends it once to each, and to those that come later."""

        def setup(self, worker):
            heap.limit()
            if not hasattr(worker, "minivit_models"):
                worker.minivit_models = {}
            worker.minivit_models[name] = model

        def teardown(self, worker):
            getattr(worker, "minivit_models", {}).pop(name, None)

    plugin = Model()
    plugin.name = name
    return plugin


def _rows_there(batch, name, wanted):
    """On a worker: the rows of a batch."""
    from distributed import get_worker
    return rows_of(batch, get_worker().minivit_models[name], wanted)


def _check_seen(client, place):
    """Raises RuntimeError where this process can read an image and a worker cannot."""
    if not _can_read(place):
        return
    blind = [worker for worker, seen in client.run(_can_read, place).items() if not seen]
    if blind:
        raise RuntimeError(f"{plain(place.name)} is here, but the worker at {blind[0]} cannot read it: share the "
                           "folder with all workers, or send the files from here with send_files=True (on the command "
                           "line --send-files)")


def _can_read(place):
    try:
        place.read()
    except ImageError:
        return False
    return True


def _with_content(place):
    try:
        return place._replace(content=place.read())
    except ImageError:
        return place                                     # the worker's row says why
