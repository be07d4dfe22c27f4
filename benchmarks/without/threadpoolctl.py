"""What minivit asks of threadpoolctl, for a machine where it is missing: no BLAS is known, and so none is limited.

benchmarks/gpu_session.py puts this folder on the path there, behind everything else.
"""


class ThreadpoolController:
    """Knows no library."""

    lib_controllers = ()

    def select(self, **_):
        return self

    def info(self):
        return []

    def limit(self, **_):
        return self

    def restore_original_limits(self):
        pass


def threadpool_info():
    """No library."""
    return []
