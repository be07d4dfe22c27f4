"""Speed and memory, measured side by side: `minivit bench` and `make bench` are built from this.

    cases.py        what is measured: a network, how many images, forward or training step
    worker.py       a process that holds one network in one library, and does one timed turn when asked
    process.py      a library to measure, and the worker process that it is given
    turns.py        compares the workers' outputs, and lets them work in turns
    *_network.py    a library each: minivit itself, PyTorch, and the matrix products alone
    summary.py      samples -> median and quartiles
    memory.py       the peak resident size of a call
    kernel_rates.py what each BLAS kernel computes a second
    machine.py      what it was measured on
"""
