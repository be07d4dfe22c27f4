"""Faults in measuring: what is timed, compared and printed."""

from ..fault import Fault as F

FAULTS = [
    F("outputs that differ are timed", "benchmarking/turns", "not error <= LARGEST_ERROR", "False"),
    F("nan is no difference", "benchmarking/turns", "not error <= LARGEST_ERROR", "error > LARGEST_ERROR"),
    F("one library always first", "benchmarking/turns", "items[start:] + items[:start]", "items"),
    F("processes stay", "benchmarking/turns", "process.close()", "None"),
    F("the mean for the median", "benchmarking/summary", "statistics.median(_1)", "statistics.mean(_1)"),
    F("milliseconds as seconds", "benchmarking/summary", "f'{1e3 * seconds:.2f} ms'", "f'{seconds:.2f} ms'"),
    F("ratio the other way", "benchmarking/summary", "median(samples) / median(others)",
      "median(others) / median(samples)"),
    F("kB as 1000 bytes", "benchmarking/memory", "1024 * _1", "1000 * _1"),
    F("attention nearly uniform", "benchmarking/cases", "np.float32(1.8 / D ** 0.5)", "np.float32(0.02)"),
    F("quick is not quick", "benchmarking/side_by_side", "(_1, 3) if quick else (_2, 9)", "(_2, 9)"),
]
